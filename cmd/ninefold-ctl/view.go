package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/internal/plainbus"
	"ninefold/internal/replace"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
	"ninefold/sessiond/config"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/manager"
)

// unitView is one line of view --list.
type unitView struct {
	Unit    string `json:"unit"`
	Profile string `json:"profile"`
	File    string `json:"file"`
}

func (a *app) view() *cobra.Command {
	var profile string
	var remove, list bool
	c := a.jsonFlag(&cobra.Command{
		Use:   "view UNIT --profile NAME | view UNIT --remove | view --list",
		Short: "Have a unit of your user manager run in another profile than your session",
		Long: `view writes a drop-in into your ~/.config/systemd/user that starts UNIT through
ninefold-enter: a terminal that the desktop starts as a unit then opens in the
other profile, with the runtime directory and the bus of the session. It holds
from the next start of UNIT on. Where the profile is not to be had UNIT runs
where it would without, and its log says why.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if os.Geteuid() == 0 {
				return exit.Usagef("run it as the person, without sudo", "view: root has no view")
			}
			if list && len(args) == 0 && !remove && profile == "" {
				return a.listUnits()
			}
			if list || len(args) == 0 || remove == (profile != "") {
				return exit.Usagef("see sessionctl view --help", "view: name a unit with --profile or --remove, or --list")
			}
			unit := args[0]
			if !strings.Contains(filepath.Base(unit), ".") {
				unit += ".service"
			}
			if !isUnit(unit) {
				return exit.Usagef("", "view: %s is not the name of a service", unit)
			}
			if remove {
				return removeUnit(c.Context(), unit)
			}
			return a.putUnit(c.Context(), unit, profile)
		},
	})
	c.Flags().StringVar(&profile, "profile", "", "run UNIT in the profile `NAME`")
	c.Flags().BoolVar(&remove, "remove", false, "take the drop-in away")
	c.Flags().BoolVar(&list, "list", false, "list the units that are in a profile of their own")
	_ = c.RegisterFlagCompletionFunc("profile", a.completeProfile) // fails for a flag that there is not
	return c
}

// unitDir is where the user manager reads the person's own units.
func unitDir() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "systemd", "user"), err
}

func dropInOf(unit string) (string, error) {
	dir, err := unitDir()
	return filepath.Join(dir, unit+".d", dropInName), err
}

func (a *app) listUnits() error {
	dir, err := unitDir()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.d", dropInName))
	if err != nil {
		return err
	}
	units, rows := []unitView{}, [][]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("list units: %w", err)
		}
		v := unitView{Unit: strings.TrimSuffix(filepath.Base(filepath.Dir(f)), ".d"), File: f}
		if words := strings.Fields(string(text)); slices.Contains(words, "-p") {
			v.Profile = words[min(slices.Index(words, "-p")+1, len(words)-1)]
		}
		units, rows = append(units, v), append(rows, []string{plain(v.Unit), plain(v.Profile), plain(f)})
	}
	return a.list(units, []string{"UNIT", "PROFILE", "FILE"}, rows)
}

// putUnit writes the drop-in. The door looks again whether the person may have
// the profile, each time that the unit starts.
func (a *app) putUnit(ctx context.Context, unit, profile string) error {
	enter := decided.Program("ninefold-enter")
	if enter == "" {
		return fmt.Errorf("%w: ninefold-enter is not installed beside sessionctl", manager.ErrIncomplete)
	}
	if err := canEnter(enter); err != nil {
		return err
	}
	if profile == config.Plain {
		return exit.Usagef("choose a profile that stands on the machine", "view: a unit cannot leave its view for the host")
	}
	err := withDaemon(ctx, func(d *remote.Daemon) error {
		o, err := d.Outlook(ctx, fmt.Sprint(os.Getuid()), profile)
		if err == nil && o.Profile != profile && o.Profile != "~"+profile {
			err = fmt.Errorf("profile %s: %s: %w", profile, plain(o.Why), api.ErrPolicy)
		}
		return err
	})
	if err != nil {
		return err
	}
	name, err := dropInOf(unit)
	if err != nil {
		return err
	}
	return withManager(ctx, func(m *userManager) error {
		commands, err := m.commands(ctx, unit)
		if err != nil {
			return err
		}
		text, err := dropIn(enter, profile, commands)
		if err != nil {
			return fmt.Errorf("%s: %w", unit, err)
		}
		if err := writeDropIn(name, text); err != nil {
			return err
		}
		return m.reload(ctx)
	})
}

// canEnter refuses where the wrapper would have no privilege to enter with: in
// an untrusted view, and where its file system is mounted nosuid.
func canEnter(enter string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(enter, &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: enter, Err: err}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	if fs.Flags&unix.ST_NOSUID != 0 || strings.Contains(string(status), "\nNoNewPrivs:\t1\n") {
		return fmt.Errorf("%w: what runs here has no way into another view", errUnit)
	}
	return nil
}

func removeUnit(ctx context.Context, unit string) error {
	name, err := dropInOf(unit)
	if err != nil {
		return err
	}
	if err := os.Remove(name); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has no profile of its own: %w", unit, api.ErrNotFound)
	} else if err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(name)) // stays where it holds something else
	return withManager(ctx, func(m *userManager) error { return m.reload(ctx) })
}

// writeDropIn puts a drop-in in place at once: a manager that reloads meanwhile
// reads the old file or the new one.
func writeDropIn(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return replace.File(name, []byte(text), 0o644)
}

// userManager is the caller's systemd --user.
type userManager struct{ conn *dbus.Conn }

const managerTimeout = 10 * time.Second

func withManager(ctx context.Context, f func(*userManager) error) error {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if !strings.HasPrefix(dir, "/") {
		return errors.New("there is no user manager here: XDG_RUNTIME_DIR is not set")
	}
	conn, err := plainbus.Connect(ctx, "unix:path="+filepath.Join(dir, "bus"))
	if err != nil {
		return fmt.Errorf("ask the user manager: %w", err)
	}
	defer conn.Close()
	return f(&userManager{conn})
}

const systemdName = "org.freedesktop.systemd1"

func (m *userManager) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	return m.conn.Object(systemdName, path).CallWithContext(ctx, method, 0, args...)
}

func (m *userManager) reload(ctx context.Context) error {
	if err := m.call(ctx, "/org/freedesktop/systemd1", systemdName+".Manager.Reload").Err; err != nil {
		return fmt.Errorf("have the user manager read its units anew: %w", err)
	}
	return nil
}

// commands returns what starts a service.
func (m *userManager) commands(ctx context.Context, unit string) (out []execLine, err error) {
	var path dbus.ObjectPath
	if err := m.call(ctx, "/org/freedesktop/systemd1", systemdName+".Manager.LoadUnit", unit).Store(&path); err != nil {
		return nil, fmt.Errorf("unit %s: %w", unit, err)
	}
	var state dbus.Variant
	const get = "org.freedesktop.DBus.Properties.Get"
	if err := m.call(ctx, path, get, systemdName+".Unit", "LoadState").Store(&state); err != nil {
		return nil, fmt.Errorf("unit %s: %w", unit, err)
	}
	if state.Value() != "loaded" {
		return nil, fmt.Errorf("unit %s: it is %v: %w", unit, state.Value(), api.ErrNotFound)
	}
	var v dbus.Variant
	if err := m.call(ctx, path, get, systemdName+".Service", "ExecStartEx").Store(&v); err != nil {
		return nil, fmt.Errorf("unit %s: %w", unit, err)
	}
	if err := v.Store(&out); err != nil {
		return nil, fmt.Errorf("unit %s: %w", unit, err)
	}
	return out, nil
}
