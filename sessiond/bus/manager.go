package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
	"ninefold/sessiond/process"
)

// The rows of listings.
type (
	viewRow struct {
		ID      string
		UID     uint32
		User    string
		Profile string
		Path    dbus.ObjectPath
	}
	sessionRow struct {
		ID   string
		UID  uint32
		User string
		View string
		Path dbus.ObjectPath
	}
	profileRow struct {
		Name, Summary, Base, Runtime, File, Error string
		Default, Choose                           bool
	}
	imageRow struct{ Name, ID string }
)

var managerContract contract

func init() {
	id := func(what string) []argument { return []argument{{what + "_id", "s"}} }
	path := []argument{{"object_path", "o"}}
	managerContract = contract{name: ManagerInterface,
		methods: []method{
			{name: "ListViews", out: []argument{{"views", "a(susso)"}}, run: listViews},
			{name: "ListSessions", out: []argument{{"sessions", "a(susso)"}}, run: listSessions},
			{name: "ListProfiles", out: []argument{{"profiles", "a(ssssssbb)"}}, run: listProfiles},
			{name: "ListImages", out: []argument{{"images", "a(ss)"}}, run: listImages},
			{name: "GetView", in: id("view"), out: path, run: getView},
			{name: "GetViewByPID", in: []argument{{"pid", "u"}}, out: path, run: getViewByPID},
			{name: "GetSession", in: id("session"), out: path, run: getSession},
			{name: "GetOutlook", in: []argument{{"user", "s"}, {"choice", "s"}}, run: outlook,
				out: []argument{{"uid", "u"}, {"profile", "s"}, {"view_id", "s"}, {"why", "s"}, {"refused", "b"}}},
			{name: "EndView", in: id("view"), run: endView},
			{name: "EndSession", in: id("session"), run: endSession},
			{name: "Reload", run: reload},
			{name: "ListParked", out: []argument{{"parked", "a(sussstttts)"}}, run: listParked},
			{name: "DiscardParked", in: id("parked"), run: discardParked},
			{name: "ListJobs", out: []argument{{"jobs", "a(sssuso)"}}, run: listJobs},
			{name: "GetJob", in: id("job"), out: path, run: getJob},
			{name: "CancelJob", in: id("job"), run: cancelJob},
			{name: "BuildImages", in: []argument{{"recipes", "as"}, {"options", "a{sv}"}}, out: path, run: startJob(api.JobBuild, actionBuild)},
			{name: "PullImage", in: []argument{{"reference", "s"}, {"options", "a{sv}"}}, out: path, run: startJob(api.JobPull, actionPull)},
			{name: "VerifyImages", in: []argument{{"images", "as"}, {"options", "a{sv}"}}, out: path, run: startJob(api.JobVerify, actionVerify)},
			{name: "RemoveImages", in: []argument{{"names", "as"}, {"options", "a{sv}"}}, out: path, run: startJob(api.JobRemove, actionRemove)},
			{name: "CollectGarbage", in: []argument{{"options", "a{sv}"}}, out: path, run: startJob(api.JobCollect, actionRemove)},
		},
		properties: []property{
			{"NViews", "u", "true"}, {"NSessions", "u", "true"}, {"ConfigurationError", "s", "true"},
			{"Degraded", "as", "const"}, {"Outside", "as", "false"}, {"StartTimestamp", "t", "const"},
		},
		signals: []signal{
			{"ViewNew", []argument{{"view_id", "s"}, {"object_path", "o"}}},
			{"ViewRemoved", []argument{{"view_id", "s"}, {"object_path", "o"}}},
			{"SessionNew", []argument{{"session_id", "s"}, {"object_path", "o"}}},
			{"SessionRemoved", []argument{{"session_id", "s"}, {"object_path", "o"}}},
			{"JobNew", []argument{{"job_id", "s"}, {"object_path", "o"}}},
			{"JobRemoved", []argument{{"job_id", "s"}, {"object_path", "o"}}},
		},
	}
}

func managerValues(st api.Status) map[string]dbus.Variant {
	return values(map[string]any{"NViews": uint32(st.Views), "NSessions": uint32(st.Sessions), "ConfigurationError": st.ConfigError,
		"Degraded": st.Degraded, "Outside": texts(st.Outside), "StartTimestamp": microseconds(st.Started)})
}

func listViews(ctx context.Context, c *call) ([]any, error) {
	all, err := c.bus.Service.Views(ctx)
	rows := []viewRow{}
	for _, v := range all {
		rows = append(rows, viewRow{text(v.ID), v.UID, text(v.User), text(v.Profile), ViewPath(v.ID)})
	}
	return []any{rows}, err
}

func listSessions(ctx context.Context, c *call) ([]any, error) {
	all, err := c.bus.Service.Sessions(ctx)
	rows := []sessionRow{}
	for _, s := range all {
		rows = append(rows, sessionRow{text(s.ID), s.UID, text(s.User), text(s.View), SessionPath(s.ID)})
	}
	return []any{rows}, err
}

func listProfiles(ctx context.Context, c *call) ([]any, error) {
	all, err := c.bus.Service.Profiles(ctx)
	rows := []profileRow{}
	for _, p := range all {
		rows = append(rows, profileRow{text(p.Name), text(p.Summary), text(p.Base), text(p.Runtime), text(p.File), text(p.Error), p.Default, p.Choose})
	}
	return []any{rows}, err
}

func listImages(ctx context.Context, c *call) ([]any, error) {
	all, err := c.bus.Service.Images(ctx)
	rows := []imageRow{}
	for _, i := range all {
		rows = append(rows, imageRow{text(i.Name), i.ID})
	}
	return []any{rows}, err
}

func getView(ctx context.Context, c *call) ([]any, error) {
	v, err := c.bus.Service.View(ctx, c.text(0))
	return []any{ViewPath(v.ID)}, err
}

func getSession(ctx context.Context, c *call) ([]any, error) {
	s, err := c.bus.Service.Session(ctx, c.text(0))
	return []any{SessionPath(s.ID)}, err
}

// getViewByPID finds the view whose mount namespace a process is in; 0 is the
// caller.
func getViewByPID(ctx context.Context, c *call) ([]any, error) {
	pid := int(c.args[0].(uint32))
	if pid == 0 {
		who, err := c.bus.identify(ctx, c.sender)
		if err != nil {
			return nil, err
		}
		pid = who.pid
	}
	ns, err := process.MountNS(pid)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, api.ErrNotFound)
	}
	all, err := c.bus.Service.Views(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.MountNS == ns {
			return []any{ViewPath(v.ID)}, nil
		}
	}
	return nil, fmt.Errorf("a view with process %d in it: %w", pid, api.ErrNotFound)
}

// maxName bounds names that are looked up, as the door does.
const maxName = 255

func outlook(ctx context.Context, c *call) ([]any, error) {
	if len(c.text(0)) > maxName || len(c.text(1)) > maxName {
		return nil, invalid("a name is longer than %d bytes", maxName)
	}
	who, err := c.bus.identify(ctx, c.sender)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	o, err := c.bus.Service.Outlook(ctx, c.text(0), c.text(1))
	if !who.root() && (err != nil || who.uid != o.UID) {
		// Whether there is a user of that name is not told either.
		return nil, denied("what a login gets is for who logs in, and root")
	}
	return []any{o.UID, text(o.Profile), text(o.View), text(o.Why), o.Refused}, err
}

func endView(ctx context.Context, c *call) ([]any, error) {
	v, err := c.bus.Service.View(ctx, c.text(0))
	if err != nil {
		return nil, err
	}
	return nil, c.endView(ctx, v)
}

func endSession(ctx context.Context, c *call) ([]any, error) {
	s, err := c.bus.Service.Session(ctx, c.text(0))
	if err != nil {
		return nil, err
	}
	return nil, c.endSession(ctx, s)
}

func reload(ctx context.Context, c *call) ([]any, error) {
	if err := c.own(ctx, 0, "reading the configuration anew"); err != nil {
		return nil, err
	}
	r, ok := c.bus.Service.(Reloader)
	if !ok {
		return nil, errors.New("the configuration cannot be read anew")
	}
	return nil, r.Reload(ctx)
}
