package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/config"
	"ninefold/sessiond/guestpam"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/login"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/profile"
)

func (a *app) enableGuests() *cobra.Command {
	var services []string
	var profile string
	c := &cobra.Command{
		Use:   "enable",
		Short: "Let anybody in front of this machine log in as guest, without a password",
		Long: `enable writes lines into the PAM stacks of login, lightdm and greetd, as far as they are
installed and the profile has a command for a greeter to start, or of those named.
Who types guest there gets a session with a user of its own; ninefold.toml says how
many may be in, and for how long. No other service knows a guest.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := a.guestsPossible(c.Context(), profile)
			if err != nil {
				return err
			}
			named, err := servicesFor(p, services)
			if err != nil {
				return err
			}
			var enabled []string
			for _, s := range named {
				err := guestpam.Enable("", s, profile)
				if errors.Is(err, guestpam.ErrNoService) && len(services) == 0 {
					continue
				}
				if err != nil {
					return errors.Join(err, a.withdraw(named))
				}
				enabled = append(enabled, s)
			}
			if len(enabled) == 0 {
				return fmt.Errorf("let guests in: %w: %s", guestpam.ErrNoService, strings.Join(named, ", "))
			}
			_, err = fmt.Fprintf(a.Out, "guests can log in by %s, as %s\n", strings.Join(enabled, ", "), login.GuestName)
			if err == nil && p.KeepsHome() {
				_, err = fmt.Fprintf(a.Err, "profile %s keeps their home: each of them finds what the one before left\n", p.Name)
			}
			if err == nil && slices.Contains(enabled, guestpam.Lightdm) {
				_, err = fmt.Fprintln(a.Err, "lightdm's list of users has an entry for guests from its next start on (systemctl restart lightdm ends what it shows)")
			}
			return err
		},
	}
	serviceFlag(c, &services)
	c.Flags().StringVar(&profile, "profile", "", "what guests get by these services (default: guests.profile of ninefold.toml)")
	_ = c.RegisterFlagCompletionFunc("profile", a.completeProfile)
	return c
}

// servicesFor are the services meant for guests of p; without any, all that can start
// what it runs. Where a greeter starts a shell that has no terminal, the session ends
// as it begins.
func servicesFor(p *profile.Profile, named []string) ([]string, error) {
	all, err := guestServices(named)
	if err != nil || len(p.Command) > 0 {
		return all, err
	}
	able := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s != "login" })
	if len(named) > len(able) {
		return nil, &exit.Error{Code: exit.Usage, Hint: "name a profile whose command needs no terminal, such as guest-xfce",
			Err: fmt.Errorf("let guests in by %s: profile %s has no command", strings.Join(named, ", "), p.Name)}
	}
	return able, nil
}

// withdraw takes the lines of services away after one could not be written.
func (a *app) withdraw(services []string) error {
	var failed error
	for _, s := range services {
		failed = errors.Join(failed, guestpam.Disable("", s))
	}
	return failed
}

func serviceFlag(c *cobra.Command, to *[]string) {
	c.Flags().StringSliceVar(to, "service", nil, "the login programs: "+strings.Join(config.GuestServices, ", "))
	_ = c.RegisterFlagCompletionFunc("service", cobra.FixedCompletions(config.GuestServices, cobra.ShellCompDirectiveNoFileComp))
}

// guestServices are the services meant; without any, all.
func guestServices(named []string) ([]string, error) {
	for _, s := range named {
		if !slices.Contains(config.GuestServices, s) {
			return nil, exit.Usagef("give some of "+strings.Join(config.GuestServices, ", "), "guests cannot log in by %q", s)
		}
	}
	if len(named) > 0 {
		return named, nil
	}
	return config.GuestServices, nil
}

// guestsPossible returns the profile that guests would get, that of the configuration
// for "", or why they could not log in.
func (a *app) guestsPossible(ctx context.Context, named string) (*profile.Profile, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("let guests in: %w", manager.ErrNotRoot)
	}
	if _, err := (identity.Host{}).ByName(ctx, login.GuestName); err == nil {
		return nil, &exit.Error{Code: exit.Failed, Hint: "rename that account, or remove it", Err: fmt.Errorf("let guests in: there is a user called %s, who would log in by that name", login.GuestName)}
	} else if !errors.Is(err, identity.ErrNoUser) {
		return nil, err
	}
	m := manager.Open(manager.Options{Config: a.config, State: a.state})
	if named == "" {
		c, err := config.Load(m.Config())
		if err != nil {
			return nil, err
		}
		named = c.Guests.ProfileName()
	}
	p, err := m.Profiles().Find(named)
	if err != nil {
		return nil, err
	}
	if !p.Guest() {
		return nil, &exit.Error{Code: exit.Usage, Hint: `guests get profiles with user = "dynamic", such as guest`, Err: fmt.Errorf("profile %s is for somebody that there is", named)}
	}
	// Its image is there, say.
	if _, err := m.Plan(ctx, manager.Request{Profile: named}); err != nil {
		return nil, fmt.Errorf("let guests in: %w", err)
	}
	return p, nil
}

func (a *app) disableGuests() *cobra.Command {
	var services []string
	c := &cobra.Command{
		Use:   "disable",
		Short: "Let nobody log in as guest",
		Long:  "disable takes away what enable wrote, and nothing else. Guests who are in stay.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if os.Geteuid() != 0 {
				return fmt.Errorf("let no guests in: %w", manager.ErrNotRoot)
			}
			named, err := guestServices(services)
			if err != nil {
				return err
			}
			if err := a.withdraw(named); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Out, "guests cannot log in by %s\n", strings.Join(named, ", "))
			return err
		},
	}
	serviceFlag(c, &services)
	return c
}

// guestStatus is what is known of guests' logins.
type guestStatus struct {
	Services []string          `json:"services"` // that let guests in
	Profile  string            `json:"profile"`
	Profiles map[string]string `json:"profiles,omitempty"` // by service, where enable was told another one
	Most     int               `json:"most"`
	Stay     string            `json:"stay"`
	Away     string            `json:"away"` // "0s" is no bound
	In       int               `json:"in"`
	Obstacle string            `json:"obstacle,omitempty"` // why nobody comes in all the same
}

func (a *app) tellGuests() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "status",
		Short: "Show by which login programs guests come in, and how many are in",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m := manager.Open(manager.Options{Config: a.config, State: a.state})
			conf, err := config.Load(m.Config())
			if err != nil {
				return err
			}
			st := guestStatus{Services: []string{}, Profiles: map[string]string{}, Profile: conf.Guests.ProfileName(), Most: conf.Guests.AtOnce(), Stay: conf.Guests.Longest().String(), Away: conf.Guests.MostAway().String()}
			for _, s := range config.GuestServices {
				has, its, err := guestpam.Enabled("", s)
				if err != nil {
					return err
				}
				if !has || !conf.Guests.By(s) {
					continue
				}
				st.Services = append(st.Services, s)
				if its != "" {
					st.Profiles[s] = its
				}
			}
			in, err := m.Guests().In()
			if err != nil && !errors.Is(err, os.ErrPermission) {
				return err
			}
			st.In = len(in)
			if _, err := (identity.Host{}).ByName(c.Context(), login.GuestName); err == nil {
				st.Obstacle = "there is a user called " + login.GuestName
			}
			services := strings.Join(st.Services, ", ")
			if services == "" {
				services = "none"
			}
			away := st.Away
			if conf.Guests.MostAway() == 0 {
				away = "no bound"
			}
			profiles := st.Profile
			for _, s := range st.Services {
				if its := st.Profiles[s]; its != "" {
					profiles += ", by " + s + " " + its
				}
			}
			rows := [][]string{{"services", services}, {"profile", profiles}, {"in", fmt.Sprintf("%d of %d", st.In, st.Most)}, {"stay", st.Stay}, {"away", away}}
			if st.Obstacle != "" {
				rows = append(rows, []string{"obstacle", st.Obstacle})
			}
			return a.list(st, []string{"GUESTS", ""}, rows)
		},
	})
}

func (a *app) endGuests() *cobra.Command {
	var everyone bool
	c := &cobra.Command{
		Use:   "end GUEST|UID | --all",
		Short: "End the session of a guest",
		Long:  "end has the guest's session taken down, with all that runs in it, and returns\nwhen it was looked for what is left.",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			in, _ := a.guests().In()
			var names []string
			for _, r := range in {
				names = append(names, r.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if everyone == (len(args) == 1) {
				return exit.Usagef("usage: "+c.UseLine(), "name one guest, or give --all")
			}
			if os.Geteuid() != 0 {
				return fmt.Errorf("end a guest's session: %w", manager.ErrNotRoot)
			}
			all := a.guests()
			in, err := all.In()
			if err != nil {
				return err
			}
			if !everyone {
				in = slices.DeleteFunc(in, func(r guests.Report) bool {
					return r.Name != args[0] && strconv.FormatUint(uint64(r.UID), 10) != args[0]
				})
				if len(in) == 0 {
					return fmt.Errorf("%w: %s", guests.ErrNoGuest, args[0])
				}
			}
			for _, r := range in {
				err = errors.Join(err, endGuest(all, &r))
			}
			return err
		},
	}
	c.Flags().BoolVar(&everyone, "all", false, "end all of them")
	return c
}

// The time that a guest's keeper has to end it, before it is killed, and after.
const (
	endPolitely = 10 * time.Second
	endKilled   = 10 * time.Second
)

func endGuest(all *guests.Guests, r *guests.Report) error {
	for _, step := range []struct {
		signal unix.Signal
		within time.Duration
	}{{unix.SIGTERM, endPolitely}, {unix.SIGKILL, endKilled}} {
		if err := r.Signal(step.signal); err != nil {
			return nil // it is over
		}
		for end := time.Now().Add(step.within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if there, err := all.Present(r); err != nil || !there {
				return err
			}
		}
	}
	return fmt.Errorf("the session of %s does not end, though its keeper was killed", r.Name)
}
