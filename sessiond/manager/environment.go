package manager

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/identity"
)

// searchPath is where a session looks for programs: the directories of the
// distribution, administrators' first, and last those of Ninefold's own.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/games:/usr/games:" + plan.LibDir

// runtimeDir tells of the user's directory for sockets and the like.
func runtimeDir(u identity.User) plan.Environment {
	return plan.Environment{Name: "XDG_RUNTIME_DIR", Value: fmt.Sprintf("/run/user/%d", u.UID)}
}

// environment is the first command's, from nothing: what a login sets, and
// what the images fix. Of the caller's environment only TERM is taken, which
// describes the terminal in front of the caller.
func environment(u identity.User, profile, shell, language string, image map[string]string) []plan.Environment {
	env := []plan.Environment{
		{Name: "PATH", Value: searchPath},
		{Name: "HOME", Value: u.Home},
		{Name: "USER", Value: u.Name},
		{Name: "LOGNAME", Value: u.Name},
		{Name: "SHELL", Value: shell},
		{Name: "LANG", Value: language},
		{Name: "NINEFOLD_PROFILE", Value: profile},
	}
	if t := decided.Terminal(); t != "" {
		env = append(env, plan.Environment{Name: "TERM", Value: t})
	}
	// The session has the host's directory there when the user has one.
	runtime := runtimeDir(u)
	if st, err := os.Lstat(runtime.Value); err == nil && st.IsDir() {
		env = append(env, runtime)
	}
	for _, name := range slices.Sorted(maps.Keys(image)) {
		env = append(env, plan.Environment{Name: name, Value: image[name]})
	}
	return env
}
