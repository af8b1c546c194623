package machine

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"path/filepath"
)

//go:embed testdata/no-vt.c
var noVT []byte

// LoginGDM has gdm log user in without a greeter, into the session entry that
// AccountsService has as the user's, and returns when logind knows the session.
// gdm, its session worker, PAM and AccountsService are the real ones; virtual
// terminals are not there (testdata/no-vt.c). The machine has to be of the set
// Greeters.
func (m *Machine) LoginGDM(ctx context.Context, user, entry string) error {
	return m.startGDM(ctx, user, "AutomaticLoginEnable=True\nAutomaticLogin="+user+"\n", "Session="+entry+"\n")
}

// LoginGDMTyped has somebody log in at gdm's greeter, who picks the entry and
// types the password. The greeter is gdmgreeter: it speaks to gdm as gnome-shell
// does, which needs a graphics card.
func (m *Machine) LoginGDMTyped(ctx context.Context, user, password, entry string) error {
	for _, err := range []error{
		m.installGreeter(ctx),
		// It stands where gdm's greeter is started, for gdm's own user alone.
		m.Write(ctx, "/usr/bin/gnome-session", "#!/bin/sh\nexec /usr/local/lib/gdmgreeter /run/gdm-typed\n"),
		done(m.Run(ctx, "chmod", "755", "/usr/bin/gnome-session")),
		m.Write(ctx, "/run/gdm-typed", user+"\n"+password+"\n"+entry+"\n"),
		done(m.Run(ctx, "sh", "-ec", `f=/etc/pam.d/gdm-launch-environment
			grep -q no-vt $f || sed -i '0,/^@include common-session\|^session.*pam_systemd.so/s//session required pam_env.so conffile=\/etc\/security\/no-vt.conf\n&/' $f`)),
		m.startGDM(ctx, user, "", ""),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) installGreeter(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "gdmgreeter-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "gdmgreeter")
	if err := host(ctx, "env", "CGO_ENABLED=0", "../../scripts/go", "build", "-o", program, "ninefold/tests/machine/gdmgreeter"); err != nil {
		return err
	}
	return m.CopyIn(ctx, program, "/usr/local/lib/gdmgreeter", 0o755)
}

// startGDM starts gdm with settings for its daemon, and with what AccountsService
// knows of the user.
func (m *Machine) startGDM(ctx context.Context, user, daemon, account string) error {
	if err := m.installNoVT(ctx); err != nil {
		return err
	}
	for _, err := range []error{
		done(m.Run(ctx, "systemctl", "stop", "gdm.service", "accounts-daemon.service")),
		m.Write(ctx, "/etc/gdm3/daemon.conf", "[daemon]\n"+daemon+"WaylandEnable=false\nInitialSetupEnable=false\n"),
		m.Write(ctx, "/var/lib/AccountsService/users/"+user, "[User]\n"+account+"SystemAccount=false\n"),
		m.Write(ctx, "/etc/systemd/system/gdm.service.d/no-vt.conf", "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/no-vt.so\n"),
		m.Write(ctx, "/etc/X11/default-display-manager", "/usr/sbin/gdm3\n"),
		done(m.Run(ctx, "systemctl", "daemon-reload")),
		done(m.Run(ctx, "systemctl", "start", "gdm.service")),
	} {
		if err != nil {
			return err
		}
	}
	_, err := m.SeatSession(ctx, user)
	return err
}

// installNoVT compiles what stands in for virtual terminals. It uses nothing of
// a C library by version, so that it runs on every suite.
func (m *Machine) installNoVT(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "no-vt-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	source, library := filepath.Join(dir, "no-vt.c"), filepath.Join(dir, "no-vt.so")
	if err := os.WriteFile(source, noVT, 0o600); err != nil {
		return err
	}
	if err := host(ctx, "gcc", "-Wall", "-Werror", "-O2", "-U_FORTIFY_SOURCE", "-fno-stack-protector", "-fPIC", "-shared", "-nostdlib", "-o", library, source); err != nil {
		return err
	}
	return m.CopyIn(ctx, library, "/usr/local/lib/no-vt.so", 0o644)
}
