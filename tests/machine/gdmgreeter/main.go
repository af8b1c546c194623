// Gdmgreeter stands where gdm starts gnome-session for its greeter, and speaks to
// gdm as gnome-shell does when somebody picks a name and a session, and types a
// password. Nothing is shown. What it is to do is in the file that is named
// first on its command line, one word a line: user, password, session entry.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	gdm      = "org.gnome.DisplayManager"
	manager  = "/org/gnome/DisplayManager/Manager"
	session  = "/org/gnome/DisplayManager/Session"
	verifier = gdm + ".UserVerifier."
	greeter  = gdm + ".Greeter."
	service  = "gdm-password"
)

func main() {
	if err := greet(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gdmgreeter:", err)
		os.Exit(1)
	}
}

func greet(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	words := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(words) != 3 {
		return fmt.Errorf("%s has %d lines", file, len(words))
	}
	c, err := open()
	if err != nil {
		return err
	}
	defer c.Close()
	signals := make(chan *dbus.Signal, 16)
	c.Signal(signals)
	o := c.Object("", session)
	if err := o.Call(verifier+"BeginVerificationForUser", 0, service, words[0]).Err; err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	end := time.After(time.Minute)
	for {
		select {
		case s, ok := <-signals:
			if !ok {
				return nil // gdm ends the greeter when the session is there
			}
			fmt.Fprintln(os.Stderr, "gdmgreeter:", s.Name, s.Body)
			if err := answer(o, s.Name, words[1], words[2]); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		case <-end:
			return fmt.Errorf("no session within a minute")
		}
	}
}

// open asks gdm for the conversation of this greeter, which is a socket of its own.
func open() (*dbus.Conn, error) {
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		return nil, err
	}
	defer bus.Close()
	var address string
	if err := bus.Object(gdm, manager).Call(gdm+".Manager.OpenSession", 0).Store(&address); err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	c, err := dbus.Dial(address)
	if err != nil {
		return nil, err
	}
	return c, c.Auth(nil)
}

func answer(o dbus.BusObject, signal, password, entry string) error {
	switch strings.TrimPrefix(strings.TrimPrefix(signal, verifier), greeter) {
	case "SecretInfoQuery":
		// What is typed is answered; the entry was picked before Enter.
		if err := o.Call(greeter+"SelectSession", 0, entry).Err; err != nil {
			return err
		}
		return o.Call(verifier+"AnswerQuery", 0, service, password).Err
	case "SessionOpened":
		return o.Call(greeter+"StartSessionWhenReady", 0, service, true).Err
	case "VerificationFailed", "ServiceUnavailable":
		return fmt.Errorf("gdm says so")
	}
	return nil
}
