// Command ninefold-build builds images. People call it as sessionctl image
// build; it is a program of its own so that what makes sessions holds no code
// that speaks to the network, reads archives or checks their signatures.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/roots/sign"
)

// name is what people called.
const name = "sessionctl"

func main() {
	os.Exit(Main(context.Background(), os.Args[1:]))
}

// Main builds what args ask for and returns the exit code. The first signal
// stops cleanly, a second one kills.
func Main(ctx context.Context, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	var r *request
	var err error
	switch {
	case len(args) > 0 && (args[0] == "push" || args[0] == "pull"):
		err = transfer(ctx, args[0], args[1:])
	case len(args) > 0 && args[0] == "export":
		err = exportImage(ctx, args[1:])
	case len(args) > 0 && args[0] == "boot":
		err = bootMachine(ctx, args[1:])
	case len(args) > 0 && args[0] == "import":
		err = importImage(ctx, args[1:])
	case len(args) > 0 && args[0] == "osv":
		err = importHoles(ctx, args[1:])
	case len(args) > 0 && args[0] == "outdated":
		err = outdated(ctx, args[1:])
	default:
		if r, err = parse(args); err == nil {
			err = r.build(ctx)
		}
	}
	if errors.Is(err, pflag.ErrHelp) {
		return int(exit.OK)
	}
	code, hint := exit.Of(err, rules)
	if r != nil && r.again && ctx.Err() != nil {
		return int(code) // who checks says so
	}
	exit.Tell(os.Stderr, name, err, hint)
	return int(code)
}

// request is a parsed command line.
type request struct {
	config, state         string
	relock, offline, json bool
	check                 bool
	again                 bool // this is the second build of a check
	recipes               []string
	sign                  string
	key                   *sign.Private // that sign names
}

func parse(args []string) (*request, error) {
	r := &request{}
	f := pflag.NewFlagSet("image build", pflag.ContinueOnError)
	f.StringVar(&r.config, "config", "", "directory of configuration")
	f.StringVar(&r.state, "state", "", "directory of the store")
	f.BoolVar(&r.relock, "relock", false, "ask the package source anew for versions, and write the lock files")
	f.BoolVar(&r.offline, "offline", false, "fail instead of using the network")
	f.StringVar(&r.sign, "sign", "", "sign what is built with this private key")
	f.BoolVar(&r.json, "json", false, "print JSON")
	f.BoolVar(&r.check, "check", false, "build a second time elsewhere, and compare")
	f.BoolVar(&r.again, "again", false, "")
	_ = f.MarkHidden("again")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil, err
		}
		return nil, exit.Usagef("see sessionctl image build --help", "image build: %v", err)
	}
	if r.recipes = f.Args(); len(r.recipes) == 0 {
		return nil, exit.Usagef("usage: sessionctl image build RECIPE...", "image build: no recipe is named")
	}
	return r, nil
}
