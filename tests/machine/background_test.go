package machine

import (
	"regexp"
	"strings"
	"sync"
)

// background is a command of a login that goes on while a test does something
// else.
type background struct {
	b       *Booted
	program string
	ended   chan struct{}
	out     string // a file of the machine's
	once    sync.Once
}

// background runs a line of shell in a login of user. It ends with the test at
// the latest.
func (b *Booted) background(user, command string) *background {
	b.t.Helper()
	g := &background{b: b, ended: make(chan struct{}), out: b.Must("mktemp", "-p", "/home/"+user), program: command}
	b.Must("chown", user, g.out)
	ctx, m := b.ctx, b.Machine
	go func() {
		defer close(g.ended)
		m.SSH(ctx, user, "echo $$ >"+g.out+".pid; exec >"+g.out+" 2>&1; "+command)
	}()
	b.t.Cleanup(g.end)
	return g
}

// shown is what it has printed.
func (g *background) shown() string { return g.b.Run("cat", g.out).Stdout }

// end kills it with all that it has started.
func (g *background) end() {
	g.once.Do(func() {
		g.b.Machine.Run(g.b.ctx, "sh", "-c", `s=$(ps -o sid= -p $(cat "$0.pid")) && pkill -KILL -s $s; rm -f "$0" "$0.pid"`, g.out)
		<-g.ended
	})
}

// shows waits until a terminal shows what a pattern says.
func (b *Booted) shows(term *Terminal, pattern string) {
	b.t.Helper()
	if _, _, err := term.Expect(patience, regexp.MustCompile(pattern)); err != nil {
		b.t.Fatalf("%v; shown:\n%s", err, term.Shown())
	}
}

// missing is "" when text has a part, and otherwise says so.
func missing(text, part string) string {
	if strings.Contains(text, part) {
		return ""
	}
	return "no " + part + " in: " + text
}

// reloaded has the daemon read its configuration, right or wrong; what is right is
// in force then.
func (b *Booted) reloaded() {
	b.t.Helper()
	b.eventually("the daemon to read its configuration", func() string {
		r := b.Run("busctl", "call", "org.ninefold", "/org/ninefold", "org.ninefold.Manager", "Reload")
		if r.OK() || strings.Contains(r.Stderr, "/etc/ninefold/") {
			return ""
		}
		return r.String()
	})
}
