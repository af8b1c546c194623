// Package api holds the words of the daemon: what it tells of views, sessions,
// profiles, images and jobs, and the interface that every surface (the D-Bus
// one, the command) stands on. It is pure: data and interfaces.
package api

import (
	"context"
	"errors"
	"os"
	"time"
)

// The errors a surface tells apart.
var (
	// ErrNotFound says that there is no view, session, profile or image of a name.
	ErrNotFound = errors.New("not found")
	// ErrPolicy says that the configuration does not let this user do it.
	ErrPolicy = errors.New("not allowed by the configuration")
	// ErrUnusable says that a profile cannot be what a login stands on.
	ErrUnusable = errors.New("not usable for a login")
	// ErrInvalid says that what was asked for can be no request.
	ErrInvalid = errors.New("not a valid request")
	// ErrBusy says that there is too much to do already.
	ErrBusy = errors.New("busy")
)

// View is one composed root with its namespaces, for one user and profile.
// Several sessions and the user's manager may be in it.
type View struct {
	// ID is made of [0-9a-z-] and never used twice while the machine is up.
	ID      string `json:"id"`
	UID     uint32 `json:"uid"`
	User    string `json:"user"`
	Profile string `json:"profile"`
	// Class is "trusted" or "untrusted".
	Class string `json:"class"`
	// Layers are what the root is made of, topmost first: images by name, "host".
	Layers []string `json:"layers"`
	// Isolated are the namespaces that are not the host's: "mount", "ipc", "uts", "user".
	Isolated []string `json:"isolated"`
	// Holder is the process that pins the namespaces, and Scope its unit; ""
	// without systemd.
	Holder int    `json:"holder"`
	Scope  string `json:"scope"`
	// MountNS is the inode number of the mount namespace: what
	// /proc/PID/ns/mnt of every process inside shows.
	MountNS uint64    `json:"mount_ns"`
	Created time.Time `json:"created"`
	// Manager says that user@UID.service runs in this view.
	Manager bool `json:"manager"`
	// Sessions are the ids of the sessions in it, oldest first.
	Sessions []string `json:"sessions"`
	// Plan is the namespace file of the view.
	Plan string `json:"-"`
	// Notes say what of the profile a login does not have.
	Notes []string `json:"notes,omitempty"`
}

// Bind is one live bind of a view.
type Bind struct {
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only"`
}

// NewBind is a live bind to be made.
type NewBind struct {
	Source, Target string
	// OnHost looks the source up in the host's namespace, not in the view.
	OnHost bool
	// AsRoot looks it up with root's file access, not that of the view's user.
	AsRoot   bool
	ReadOnly bool
}

// NewMount is a file system to be mounted into a live view.
type NewMount struct {
	// Source is the host's name of a file with a file system in it; "" is an
	// empty file system in memory.
	Source, Target string
	// Type is the kernel's name of the file system; "" finds out.
	Type     string
	ReadOnly bool
	// Size bounds what is in memory, in bytes.
	Size int64
	// AsRoot goes beyond what the configuration lets a user have in memory.
	AsRoot bool
}

// Binder binds into live views. Who may call what is the surface's to decide.
type Binder interface {
	Bind(ctx context.Context, view string, b NewBind) error
	// Mount mounts a file system. The kernel reads what is in the file as it is:
	// whoever may name one has to be trusted with the machine.
	Mount(ctx context.Context, view string, m NewMount) error
	// Unmount takes off what was bound or mounted last at target, and nothing else.
	Unmount(ctx context.Context, view, target string) error
	// List returns the live binds of a view, the oldest first.
	List(ctx context.Context, view string) ([]Bind, error)
}

// Session is one login that was given a view.
type Session struct {
	// ID is logind's where there is one, otherwise "p" and the number of the
	// process that opened it.
	ID      string `json:"id"`
	View    string `json:"view"`
	UID     uint32 `json:"uid"`
	User    string `json:"user"`
	Profile string `json:"profile"`
	// Service, TTY and Rhost are what PAM said; a remote side can have chosen
	// the last two.
	Service string `json:"service"`
	TTY     string `json:"tty,omitempty"`
	Rhost   string `json:"rhost,omitempty"`
	// Leader is the process that opened the session.
	Leader int       `json:"leader"`
	Since  time.Time `json:"since"`
}

// Profile is one profile as a listing shows it.
type Profile struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Base    string `json:"base"`
	Runtime string `json:"runtime,omitempty"`
	File    string `json:"file,omitempty"`
	// Error says why it cannot be used; "" when it can.
	Error string `json:"error,omitempty"`
	// Default says that it is the machine's default for logins, and Choose that
	// a user may choose it.
	Default bool `json:"default"`
	Choose  bool `json:"choose"`
}

// Image is one named image of the store.
type Image struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// Outlook is what a login of a user would get, and why.
type Outlook struct {
	User    string `json:"user"`
	UID     uint32 `json:"uid"`
	Profile string `json:"profile"` // "" stays on the host
	View    string `json:"view"`    // the view it would join; "" makes one
	Why     string `json:"why"`
	// Refused says that the login would be refused.
	Refused bool `json:"refused"`
}

// Status is the daemon as a whole.
type Status struct {
	Views    int `json:"views"`
	Sessions int `json:"sessions"`
	// ConfigError is what is wrong with the configuration on disk while the
	// last good one is in force; "" when nothing is.
	ConfigError string `json:"config_error,omitempty"`
	// Degraded lists what the daemon works without: "systemd", "logind".
	Degraded []string `json:"degraded,omitempty"`
	// Outside are sessions of people whose user manager is in a view, opened on
	// the host by services whose PAM stack lacks the lines of pam_ninefold.
	Outside []string  `json:"outside,omitempty"`
	Started time.Time `json:"started"`
}

// EventKind says what happened.
type EventKind string

// The kinds of event.
const (
	ViewNew        EventKind = "view-new"
	ViewRemoved    EventKind = "view-removed"
	SessionNew     EventKind = "session-new"
	SessionRemoved EventKind = "session-removed"
	ConfigChanged  EventKind = "config-changed"
	JobNew         EventKind = "job-new"
	JobChanged     EventKind = "job-changed"
	JobRemoved     EventKind = "job-removed"
)

// OfJob reports whether the event is about a job, and about nothing else.
func (e Event) OfJob() bool { return e.Kind == JobNew || e.Kind == JobChanged || e.Kind == JobRemoved }

// OfView reports whether the event is about which views there are.
func (e Event) OfView() bool { return e.Kind == ViewNew || e.Kind == ViewRemoved }

// Event is one change. ID is of the view, session or job; UID whose it is.
type Event struct {
	Kind EventKind
	ID   string
	UID  uint32
}

// Service is what the daemon does for its surfaces. Who may call what is the
// surface's to decide: nothing here asks who is calling.
type Service interface {
	Status(ctx context.Context) (Status, error)
	// Views and Sessions are sorted by age, oldest first.
	Views(ctx context.Context) ([]View, error)
	View(ctx context.Context, id string) (View, error)
	Sessions(ctx context.Context) ([]Session, error)
	Session(ctx context.Context, id string) (Session, error)
	Profiles(ctx context.Context) ([]Profile, error)
	Images(ctx context.Context) ([]Image, error)
	// Outlook says what a login of user would get; choice "" is the default.
	Outlook(ctx context.Context, user, choice string) (Outlook, error)
	// EndSession ends one session: through logind where it knows it, otherwise
	// by ending its leader. EndView ends every process in a view.
	EndSession(ctx context.Context, id string) error
	EndView(ctx context.Context, id string) error
	// Namespace returns the mount namespace of a view; the caller closes it.
	// It is authority: whoever holds it and CAP_SYS_ADMIN can enter.
	Namespace(ctx context.Context, view string) (*os.File, error)
	// Subscribe sends changes until ctx ends, then closes the channel. A slow
	// reader loses events rather than holding the daemon up.
	Subscribe(ctx context.Context) <-chan Event
}
