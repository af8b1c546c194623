// Command ninefold-host has the broker run a command on the host: it is what
// sessionctl executes for sessionctl host, for host-open, and for the links that
// go by the name of a command of the host's. It is started for every such
// command, so what the other commands need is not in it.
package main

import (
	"os"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/host"
)

func main() {
	status, err := run(host.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args)
	if err != nil {
		code, hint := exit.Of(err, nil)
		exit.Tell(os.Stderr, "sessionctl", err, hint)
		status = int(code)
	}
	os.Exit(status)
}

func run(io host.Stdio, args []string) (int, error) {
	o, called, err := host.Called(args[0], args[1:])
	if !called && err == nil {
		// As sessionctl calls it: "sessionctl host ...".
		o, err = host.Parse(args[min(2, len(args)):])
	}
	switch {
	case err != nil:
		return 0, err
	case o.Help:
		return 0, host.Help(io)
	case o.Shim != "":
		return 0, host.MakeShim(io, o.Shim)
	}
	return host.Run(io, o)
}
