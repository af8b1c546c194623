// Package service is the daemon in the words of sessiond/api: what every
// surface stands on.
package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/api"
	"ninefold/sessiond/config"
	"ninefold/sessiond/login"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/process"
	"ninefold/sessiond/views"
)

// Units ends sessions that logind knows, and says what is missing.
type Units interface {
	EndSession(ctx context.Context, id string) error
	Degraded() []string
}

// Service implements api.Service.
type Service struct {
	config  *config.Live
	views   *views.Views
	logins  *login.Logins
	manager func() *manager.Manager
	units   Units
	started time.Time
	events  *Events
}

var _ api.Service = (*Service)(nil)

// New returns the service over its parts.
func New(c *config.Live, v *views.Views, l *login.Logins, m func() *manager.Manager, u Units, e *Events) *Service {
	return &Service{config: c, views: v, logins: l, manager: m, units: u, started: time.Now(), events: e}
}

// Status tells of the daemon as a whole.
func (s *Service) Status(context.Context) (api.Status, error) {
	st := api.Status{Started: s.started, Degraded: s.units.Degraded(), Outside: s.logins.Outside()}
	for _, v := range s.views.List() {
		st.Views++
		st.Sessions += len(v.Sessions())
	}
	if err := s.config.State().Problem(); err != nil {
		st.ConfigError = err.Error()
	}
	return st, nil
}

// Views lists the live views.
func (s *Service) Views(context.Context) ([]api.View, error) {
	out := []api.View{}
	for _, v := range s.views.List() {
		out = append(out, v.Describe())
	}
	return out, nil
}

// View returns one view, or api.ErrNotFound.
func (s *Service) View(_ context.Context, id string) (api.View, error) {
	v, err := s.views.Get(id)
	if err != nil {
		return api.View{}, err
	}
	return v.Describe(), nil
}

// Sessions lists the sessions of all views.
func (s *Service) Sessions(context.Context) ([]api.Session, error) {
	out := []api.Session{}
	for _, v := range s.views.List() {
		out = append(out, v.Sessions()...)
	}
	slices.SortStableFunc(out, func(a, b api.Session) int { return a.Since.Compare(b.Since) })
	return out, nil
}

// Session returns one session, or api.ErrNotFound.
func (s *Service) Session(_ context.Context, id string) (api.Session, error) {
	found, _, err := s.views.FindSession(id)
	return found, err
}

// Profiles lists the machine's profiles, those that cannot be used too.
func (s *Service) Profiles(context.Context) ([]api.Profile, error) {
	state := s.config.State()
	names := slices.Collect(maps.Keys(state.Profiles))
	for name := range state.Broken {
		if state.Profiles[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out := []api.Profile{}
	for _, name := range names {
		p := api.Profile{Name: name, Default: name == state.Config.Login.Default, Choose: slices.Contains(state.Config.Login.Choose, name)}
		if have := state.Profiles[name]; have != nil {
			p.Summary, p.Base, p.Runtime, p.File = have.Summary, have.Base, have.Runtime, have.File
		}
		if err := state.Broken[name]; err != nil {
			p.Error = err.Error()
		}
		out = append(out, p)
	}
	return out, nil
}

// Images lists the images that have a name.
func (s *Service) Images(context.Context) ([]api.Image, error) {
	st, err := s.manager().Store()
	if err != nil {
		return nil, err
	}
	defer st.Close()
	tags, err := st.Tags()
	if err != nil {
		return nil, err
	}
	out := []api.Image{}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, api.Image{Name: name, ID: tags[name].String()})
	}
	return out, nil
}

// Outlook says what a login of user would get. Nothing is made for it.
func (s *Service) Outlook(ctx context.Context, user, choice string) (api.Outlook, error) {
	return s.logins.Outlook(ctx, user, choice)
}

// Reload reads the configuration anew, as a change on disk would. It returns
// what is wrong there; what was right before is then still in force.
func (s *Service) Reload(context.Context) error {
	s.config.Reload()
	return s.config.State().Problem()
}

// EndSession ends a session: logind's through logind, another by its leader.
func (s *Service) EndSession(ctx context.Context, id string) error {
	if _, _, err := s.views.FindSession(id); err != nil {
		return err
	}
	if id[0] != 'p' {
		return s.units.EndSession(ctx, id)
	}
	leader, err := s.views.Leader(id)
	if err != nil {
		return err
	}
	// As when the terminal goes away: su and login then end what they started.
	// What was started by nohup does not hear that.
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGTERM} {
		if err := end(ctx, leader.PID, leader.Start, sig); errors.Is(err, process.ErrGone) {
			s.views.Changed()
			return nil
		} else if err != nil {
			return fmt.Errorf("end session %s: %w", id, err)
		}
	}
	return fmt.Errorf("end session %s: process %d, which opened it, does not end on SIGTERM; end its view", id, leader.PID)
}

// endTimeout is how long the leader of a session may take to end.
const endTimeout = 2 * time.Second

// end signals a process and gives it time to end; process.ErrGone says that it
// has.
func end(ctx context.Context, pid int, start uint64, sig unix.Signal) error {
	f, err := process.Open(pid, start)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := process.Signal(f, sig); err != nil {
		return err
	}
	timed, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if process.Wait(timed, f) == nil {
		return process.ErrGone
	}
	return ctx.Err()
}

// EndView ends every process in a view, and the view.
func (s *Service) EndView(ctx context.Context, id string) error { return s.views.End(ctx, id) }

// Namespace returns the mount namespace of a view.
func (s *Service) Namespace(_ context.Context, id string) (*os.File, error) {
	v, err := s.views.Get(id)
	if err != nil {
		return nil, err
	}
	files, _, err := v.Namespaces()
	if err != nil {
		return nil, err
	}
	for _, f := range files[1:] {
		f.Close()
	}
	return files[0], nil
}

// Subscribe sends changes until ctx ends.
func (s *Service) Subscribe(ctx context.Context) <-chan api.Event { return s.events.Subscribe(ctx) }

// Events hands each change to whoever listens.
type Events struct {
	mu   sync.Mutex
	subs map[chan api.Event]struct{}
}

// NewEvents returns an Events that nobody listens to.
func NewEvents() *Events { return &Events{subs: map[chan api.Event]struct{}{}} }

// Publish sends e to all who listen and are not behind.
func (e *Events) Publish(ev api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.subs {
		select {
		case c <- ev:
		default: // behind; it lists anew when it matters
		}
	}
}

// Subscribe returns a channel of changes that is closed when ctx ends.
func (e *Events) Subscribe(ctx context.Context) <-chan api.Event {
	c := make(chan api.Event, 256)
	e.mu.Lock()
	e.subs[c] = struct{}{}
	e.mu.Unlock()
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.subs, c)
		close(c)
	})
	return c
}
