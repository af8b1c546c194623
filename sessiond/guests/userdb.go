package guests

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// recordDir is where systemd's user database finds records of users that others
// than itself keep for a while: userdbd and nss-systemd read it (nss-systemd(8)).
const recordDir = "/run/userdb"

// notice makes the guest known to name services: getent, ps and logind then say
// its name. The password is locked and the record too, which PAM takes for an
// expired account: it opens nothing but what pam_ninefold lets pass. It is taken
// back by forget.
func notice(dir string, uid uint32, home, shell string) error {
	name := Name(uid)
	secret := map[string]any{"privileged": map[string]any{"hashedPassword": []string{"!*"}}}
	user := map[string]any{
		"userName": name, "realName": "Guest", "uid": uid, "gid": uid, "homeDirectory": home,
		"shell": shell, "disposition": "dynamic", "service": "ninefold", "locked": true,
	}
	group := map[string]any{"groupName": name, "gid": uid, "disposition": "dynamic", "service": "ninefold"}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the guest known: %w", err)
	}
	for _, f := range []struct {
		name, link string
		mode       fs.FileMode
		what       map[string]any
	}{
		{name + ".user-privileged", number(uid) + ".user-privileged", 0o600, secret},
		{name + ".user", number(uid) + ".user", 0o644, user},
		{name + ".group", number(uid) + ".group", 0o644, group},
	} {
		text, err := json.Marshal(f.what)
		if err == nil {
			err = place(dir, f.name, append(text, '\n'), f.mode)
		}
		if err == nil {
			link := filepath.Join(dir, f.link)
			if err = os.Symlink(f.name, link); errors.Is(err, fs.ErrExist) {
				err = nil
			}
		}
		if err != nil {
			return errors.Join(fmt.Errorf("make the guest known: %w", err), forget(dir, uid))
		}
	}
	return nil
}

// place puts a file into dir in one step. It is in memory: there is nothing to wait
// for until it is on disk.
func place(dir, name string, text []byte, mode fs.FileMode) error {
	aside := filepath.Join(dir, "."+name+halfRecord)
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
		err = os.Rename(aside, filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(aside)
	}
	return err
}

// forget takes back what notice made; what is not there is no error.
func forget(dir string, uid uint32) error {
	var failed error
	for _, who := range []string{number(uid), Name(uid)} {
		for _, kind := range []string{".user", ".user-privileged", ".group"} {
			for _, name := range []string{who + kind, "." + who + kind + halfRecord} {
				failed = errors.Join(failed, gone(os.Remove(filepath.Join(dir, name))))
			}
		}
	}
	return failed
}

func number(uid uint32) string { return strconv.FormatUint(uint64(uid), 10) }
