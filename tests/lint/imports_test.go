package lint

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// pure packages decide; they do not act.
var pure = map[string]string{
	"namespaces/plan":  "a plan is compiled, printed and tested without root and without this machine",
	"sessiond/profile": "a profile means the same on every machine",
	"sessiond/policy":  "what a policy says depends on its text and on the question alone",
	"sessiond/desktop": "an entry is text: what it becomes is tested without greeters",
	"sessiond/api":     "surfaces and clients share these words, and clients are not the daemon",
	"roots/recipe":     "a recipe means the same on every machine",
	"roots/languages":  "what a lock file asks for depends on its text alone",
	"roots/lock":       "a lock gives the same image everywhere",
	"roots/image":      "an image's identity and its conflicts depend on its packages alone",
	"roots/requires":   "what an image needs is compared the same way for every machine",
	"roots/sign":       "who signed what depends on the bytes alone",
	"roots/pkg":        "a package's identity depends on its bytes alone",
}

// impure are files of pure packages that look things up all the same.
var impure = map[string]string{
	"sessiond/profile/owned.go": "whose a profile is can only be asked of the file system",
}

func TestPurePackages(t *testing.T) {
	f := rule(t, "pure packages are what everything else rests on: no processes, no network, no syscalls, no clock, no environment")
	banned := []string{"os/exec", "net", "net/http", "syscall", "golang.org/x/sys/unix", "unsafe", "os/user", "os/signal", "math/rand", "math/rand/v2"}
	calls := map[string][]string{
		"time": {"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker"},
		"os":   {"Getenv", "LookupEnv", "Environ", "Getuid", "Geteuid", "Getpid", "Hostname", "Getwd"},
	}
	for _, s := range goSources(t, false) {
		why, ok := pure[s.dir]
		if _, allowed := impure[s.path]; !ok || allowed {
			continue
		}
		for _, imp := range s.ast.Imports {
			if p := strings.Trim(imp.Path.Value, `"`); slices.Contains(banned, p) {
				f.at(s, imp, "%s imports %s, but %s", s.dir, p, why)
			}
		}
		selectors(s, func(pkg, name string, n ast.Node) {
			if slices.Contains(calls[pkg], name) {
				f.at(s, n, "%s uses %s.%s, but %s", s.dir, pkg, name, why)
			}
		})
	}
}

func TestPlanUsesTheStandardLibraryAlone(t *testing.T) {
	f := rule(t, "the plan is data: its reader, printer and compiler need strings, not files")
	for _, s := range goSources(t, false) {
		if s.dir != "namespaces/plan" {
			continue
		}
		for _, imp := range s.ast.Imports {
			p := strings.Trim(imp.Path.Value, `"`)
			if strings.Contains(strings.Split(p, "/")[0], ".") || below(p, module) || p == "os" || p == "io/ioutil" {
				f.at(s, imp, "imports %s", p)
			}
		}
	}
}

// direction lists, for a folder, what its packages may not import.
var direction = []struct {
	from, to, why string
	except        []string // what may be imported all the same
}{
	{from: "", to: "cmd", why: "commands are the outermost layer: nothing stands on them"},
	{from: "", to: "tests", why: "what is installed holds no test code"},
	{from: "namespaces", to: "roots", why: "namespaces executes plans and knows nothing of images"},
	{from: "namespaces", to: "sessiond", why: "namespaces executes plans and knows nothing of profiles"},
	{from: "roots", to: "sessiond", why: "an image is built without sessions or profiles"},
	{from: "sessiond/origin", to: "sessiond", why: "who had a hand in a file is asked of the file system alone", except: []string{"sessiond/origin"}},
	{from: "sessiond/decided", to: "sessiond", why: "what is decided runs without that which decides: a start links nothing else", except: []string{"sessiond/decided", "sessiond/origin"}},
	{from: "sessiond/decided", to: "roots", why: "what is decided runs without that which decides: a start links nothing else"},
	{from: "sessiond/profile", to: "sessiond/manager", why: "a profile is read without starting anything"},
	{from: "sessiond/policy", to: "sessiond", why: "a policy is read and decided without the daemon", except: []string{"sessiond/policy"}},
	{from: "sessiond/api", to: "sessiond", why: "the words of the daemon know none of its rooms", except: []string{"sessiond/api"}},
	{from: "sessiond/entries", to: "sessiond/manager", why: "entries are kept, whoever found the desktops"},
	{from: "sessiond/door", to: "sessiond/views", why: "the door knows who asks, not what is answered"},
	{from: "sessiond/broker/wire", to: "sessiond", why: "both ends of the broker's conversation share it, and callers are not the daemon"},
	{from: "sessiond/broker/program", to: "sessiond", why: "whose a program is does not depend on who asks"},
	{from: "sessiond/broker/hostbus", to: "sessiond", why: "it speaks to systemd and polkit, and knows nothing of commands"},
	{from: "sessiond/broker", to: "sessiond/bus", why: "the broker is a surface of its own"},
	{from: "sessiond/machined", to: "sessiond", why: "it tells machined of views as the api knows them", except: []string{"sessiond/machined", "sessiond/api", "sessiond/process"}},
	{from: "sessiond/manager", to: "sessiond/views", why: "a session is made without the daemon"},
	{from: "sessiond/views", to: "sessiond/door", why: "a view is kept whoever asked for it"},
	{from: "sessiond/jobs", to: "sessiond", why: "a job is a command of its own: the daemon links nothing of what it does", except: []string{"sessiond/jobs", "sessiond/api", "sessiond/broker/hostbus"}},
	{from: "sessiond/jobs", to: "roots", why: "a job is a command of its own: the daemon links nothing of what it does", except: []string{"roots/image"}},
	{from: "sessiond/profile", to: "roots", why: "a profile names images; the manager finds them"},
	{from: "namespaces/plan", to: "namespaces/kernel", why: "the plan is pure"},
	{from: "namespaces/kernel", to: "namespaces/plan", why: "the kernel package wraps syscalls and knows no plan"},
	{from: "internal", to: "roots", why: "internal packages are leaves"},
	{from: "internal", to: "namespaces", why: "internal packages are leaves"},
	{from: "internal", to: "sessiond", why: "internal packages are leaves"},
	{from: "roots/pkg", to: "roots", why: "a package knows nothing of what holds it", except: []string{"roots/pkg"}},
	{from: "roots/recipe", to: "roots", why: "a recipe is text about packages", except: []string{"roots/recipe", "roots/pkg", "roots/requires", "roots/languages"}},
	{from: "roots/languages", to: "roots", why: "lock files of languages know nothing of images", except: []string{"roots/languages"}},
	{from: "roots/image", to: "roots/store", why: "an image is described without a place to keep it"},
	{from: "roots/sign", to: "roots", why: "a signature is over a digest, wherever that is kept", except: []string{"roots/sign", "roots/pkg", "roots/image"}},
	{from: "roots/trust", to: "roots/build", why: "what is trusted does not depend on how it was made"},
	{from: "roots/requires", to: "roots", why: "what is needed of a machine is text about it", except: []string{"roots/requires"}},
	{from: "roots/store", to: "roots/sign", why: "the store keeps signatures, and what they are worth is decided elsewhere"},
	{from: "roots/store", to: "roots/trust", why: "the store keeps signatures, and what they are worth is decided elsewhere"},
	{from: "roots/store", to: "roots/driver", why: "drivers read the store, not the other way round"},
	{from: "roots/store", to: "roots/build", why: "the store is filled by the build, and knows nothing of it"},
	{from: "roots/registry", to: "roots/build", why: "an image travels whatever it was built from"},
	{from: "roots/layer", to: "roots", why: "a tar holds entries, wherever their content is kept", except: []string{"roots/pkg", "roots/image"}},
	{from: "roots/oci", to: "roots", why: "a layout holds blobs, whatever is in them"},
	{from: "roots/fileimage", to: "roots", why: "what makes sessions reads no archive and speaks to no network", except: []string{"roots/pkg", "roots/image"}},
	{from: "roots/foreign", to: "roots/build", why: "what others made is not built"},
	{from: "roots/registry", to: "roots/foreign", why: "a registry is asked by whoever imports"},
	{from: "roots/export", to: "roots/build", why: "an image is written out whatever it was built from"},
	{from: "roots/store", to: "roots/registry", why: "the store knows no network"},
	{from: "roots/boot", to: "roots/store", why: "a machine starts on a file, wherever it comes from"},
	{from: "roots/boot", to: "roots/export", why: "a machine starts on a file, wherever it comes from"},
	{from: "roots/finish", to: "roots/build", why: "the build calls the finishing steps"},
	{from: "roots/inventory", to: "roots/build", why: "what is inside an image does not depend on how it was made"},
	{from: "roots/inventory", to: "roots/debian", why: "questions about images need no network"},
	{from: "roots/store", to: "roots/inventory", why: "the store is read for answers, and asks nothing"},
	{from: "roots/contexts", to: "roots/store", why: "a context is a layer over the machine, whatever images there are"},
	{from: "sessiond/contexts/inside", to: "sessiond", why: "a context is entered without that which decides: a start links nothing else",
		except: []string{"sessiond/contexts/inside", "sessiond/decided", "sessiond/identity", "sessiond/process"}},
	{from: "sessiond/contexts", to: "sessiond/views", why: "a context is entered without the daemon"},
	{from: "roots/osv", to: "roots", why: "what is known of holes does not depend on who has them", except: []string{"roots/osv", "roots/debversion"}},
	{from: "roots/debversion", to: "roots", why: "versions are compared whatever has them"},
	{from: "roots/rebuild", to: "roots/build", why: "who compares two builds makes neither"},
}

func TestImportsPointOneWay(t *testing.T) {
	f := rule(t, "a change in an outer layer must never reach an inner one: cmd -> manager -> leaves")
	for _, s := range goSources(t, false) {
		for _, imp := range s.ast.Imports {
			to, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), module+"/")
			if !ours {
				continue
			}
			for _, d := range direction {
				if d.from == "" && below(s.dir, d.to) {
					continue
				}
				if (d.from == "" || below(s.dir, d.from)) && below(to, d.to) && !slices.Contains(d.except, to) {
					f.at(s, imp, "%s imports %s, but %s", s.dir, to, d.why)
				}
			}
		}
	}
}

func TestDangerousSyscallsLiveInOnePackage(t *testing.T) {
	f := rule(t, "what changes mounts, roots and namespaces is reviewed in one place, namespaces/kernel, where errors name operation, path and flags")
	banned := []string{
		"Mount", "Unmount", "Fsopen", "Fsconfig", "Fsmount", "Fspick", "MoveMount", "OpenTree", "OpenTreeAttr", "MountSetattr",
		"PivotRoot", "Chroot", "Setns", "Unshare", "Sethostname", "Setdomainname", "Syscall", "Syscall6", "RawSyscall", "RawSyscall6", "SyscallNoError", "RawSyscallNoError",
		"Prctl", "Capset", "Setuid", "Setgid", "Setgroups", "Setresuid", "Setresgid", "Reboot", "Swapon", "InitModule", "FinitModule",
	}
	for _, s := range goSources(t, false) {
		if s.dir == "namespaces/kernel" {
			continue
		}
		selectors(s, func(pkg, name string, n ast.Node) {
			if (pkg == "unix" || pkg == "syscall") && (slices.Contains(banned, name) || strings.HasPrefix(name, "Fsconfig")) {
				f.at(s, n, "%s.%s outside namespaces/kernel", pkg, name)
			}
		})
	}
}

func TestNoShell(t *testing.T) {
	f := rule(t, "a command line that is put together is an injection: programs are run by argument list")
	for _, s := range goSources(t, false) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !(sel.Sel.Name == "Command" || sel.Sel.Name == "CommandContext") {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "exec" {
				return true
			}
			for _, a := range call.Args {
				if lit, ok := a.(*ast.BasicLit); ok {
					switch strings.Trim(lit.Value, "\"`") {
					case "sh", "bash", "dash", "/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash":
						f.at(s, call, "runs a shell on the host")
					}
				}
			}
			return true
		})
	}
}

func TestNoForeignMachinery(t *testing.T) {
	f := rule(t, "the installed programs build with CGO_ENABLED=0 and load no code at run time")
	for _, s := range goSources(t, false) {
		for _, p := range s.imports() {
			if p == "C" || p == "plugin" {
				f.add("%s imports %q", s.path, p)
			}
		}
	}
}

// selectors calls fn for each use of a package-qualified name.
func selectors(s *source, fn func(pkg, name string, n ast.Node)) {
	names := map[string]string{}
	for _, imp := range s.ast.Imports {
		p := strings.Trim(imp.Path.Value, `"`)
		base := p[strings.LastIndex(p, "/")+1:]
		if imp.Name != nil {
			names[imp.Name.Name] = base
			continue
		}
		names[base] = base
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				if pkg, ok := names[x.Name]; ok {
					fn(pkg, sel.Sel.Name, n)
				}
			}
		}
		return true
	})
}
