// Package aliases keeps the names PERSON+PROFILE that sshd(8) knows: user
// records (systemd's userdb, "JSON User Records") of the person's uid, locked and
// expired, which pam_ninefold alone makes good, by asking PAM about the person.
package aliases

import (
	"encoding/json"
	"slices"
	"strings"

	"ninefold/sessiond/config"
	"ninefold/sessiond/identity"
)

// Max is how many names there are at most: each is a file in memory.
const Max = 4096

// maxName leaves room for ".user" in the name of a file.
const maxName = 250

// Want are the records of the people, by name. A profile is one that exists
// says there is; taken are the names of accounts, which win. left is how many did not
// fit into Max.
func Want(people []identity.User, login config.Login, exists func(profile string) bool, taken func(name string) bool) (records map[string]string, left int) {
	records = map[string]string{}
	for _, u := range people {
		if !Speakable(u.Name) {
			continue
		}
		profiles := append([]string{login.For(u.Name)}, login.Choose...)
		slices.Sort(profiles)
		for _, p := range slices.Compact(profiles) {
			name := u.Name + "+" + p
			switch {
			case p == "" || p != config.Plain && !exists(p) || len(name) > maxName || taken(name):
			case len(records) >= Max:
				left++
			default:
				records[name] = record(u, name)
			}
		}
	}
	return records, left
}

// Speakable reports whether the name of a person can begin the name of a file
// and of a record.
func Speakable(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f })
}

// start is how each of our records begins; the uid follows. pamhook/module/alias.c
// reads it.
const start = `{"service":"org.ninefold","uid":`

// record is a user record. What is locked has no password, and what is expired
// is refused by pam_unix: a stack without our lines lets nobody in by it. The
// comment (GECOS) is more than a name to pam_umask.
func record(u identity.User, name string) string {
	b, err := json.Marshal(struct {
		Service string `json:"service"`
		UID     uint32 `json:"uid"`
		GID     uint32 `json:"gid"`
		Name    string `json:"userName"`
		Comment string `json:"realName,omitempty"`
		Home    string `json:"homeDirectory"`
		Shell   string `json:"shell,omitempty"`
		Kind    string `json:"disposition"`
		Locked  bool   `json:"locked"`

		NotAfter uint64 `json:"notAfterUSec"`
	}{"org.ninefold", u.UID, u.GID, name, u.Comment, u.Home, u.Shell, "regular", true, 1})
	if err != nil {
		return "" // strings and numbers have a form
	}
	return string(b) + "\n"
}
