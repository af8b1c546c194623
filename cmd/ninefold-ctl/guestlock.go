package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/guestlock"
	"ninefold/sessiond/guests"
)

// errNotGuest says that a command is for guests.
var errNotGuest = &exit.Error{Code: exit.Usage, Hint: "others lock their screen with their password", Err: errors.New("this is for guests, in their sessions")}

// guestItself returns the account of the guest who calls.
func guestItself() (*user.User, error) {
	uid := os.Getuid()
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil || u.Username != guests.Name(uint32(uid)) {
		return nil, errNotGuest
	}
	return u, nil
}

// wordDir is where the word lies: a directory that the guest has for as long as the
// session, which a kept home is not.
func wordDir(u *user.User) string { return "/run/user/" + u.Uid }

func (a *app) guestWord() *cobra.Command {
	return &cobra.Command{
		Use:   "word",
		Short: "Choose the word that opens your session after its screen was locked, as a guest",
		Long: `A guest has no password. word asks for one of the guest's own, which whatever locks
the screen in that session asks for from then on; an empty one lets everybody back
in. It is gone with the session.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			u, err := guestItself()
			if err != nil {
				return err
			}
			return a.chooseWord(c.Context(), wordDir(u), "")
		},
	}
}

// chooseWord asks for a word, twice at a terminal, until there is one.
func (a *app) chooseWord(ctx context.Context, dir, why string) error {
	if !term.IsTerminal(int(a.In.Fd())) {
		word, err := bufio.NewReader(io.LimitReader(a.In, guestlock.MostWord+2)).ReadString('\n')
		if err != nil && (!errors.Is(err, io.EOF) || word == "") {
			return fmt.Errorf("read the word: %w", err)
		}
		return guestlock.Set(dir, strings.TrimRight(word, "\n"))
	}
	for {
		word, err := a.ask(ctx, why+"Word to unlock with: ")
		if err != nil {
			return err
		}
		again, err := a.ask(ctx, "Once more: ")
		if err != nil {
			return err
		}
		if word == again {
			return guestlock.Set(dir, word)
		}
		fmt.Fprintln(a.Err, "these are two")
	}
}

// ask asks for a word without showing it, nor what is typed before it is read.
// When ctx ends the terminal is made what it was, and the program ends by a signal:
// the reading would go on.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	fd := int(a.In.Fd())
	state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("read the word: %w", err)
	}
	shown := *state
	state.Lflag &^= unix.ECHO
	restore := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, &shown) }
	defer restore()
	defer context.AfterFunc(ctx, func() {
		restore()
		signal.Reset(unix.SIGTERM)
		_ = unix.Kill(os.Getpid(), unix.SIGTERM)
	})()
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, state); err != nil {
		return "", fmt.Errorf("read the word: %w", err)
	}
	fmt.Fprint(a.Err, question)
	word, err := term.ReadPassword(fd)
	fmt.Fprintln(a.Err)
	if err != nil {
		return "", fmt.Errorf("read the word: %w", err)
	}
	return string(word), nil
}

func (a *app) lockGuest() *cobra.Command {
	return &cobra.Command{
		Use:   "lock",
		Short: "Lock the terminal that you sit at, as a guest",
		Long: `lock clears the terminal and asks for the word that was chosen by sessionctl guest
word until it is typed; where there is none it asks for one first. Other terminals,
and a desktop, have lockers of their own, which ask for the same word.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			u, err := guestItself()
			if err != nil {
				return err
			}
			if !term.IsTerminal(int(a.In.Fd())) {
				return exit.Usagef("lock is for a terminal; a desktop has a locker of its own", "lock the terminal: there is none")
			}
			set, err := guestlock.IsSet(wordDir(u))
			if err == nil && !set {
				err = a.chooseWord(c.Context(), wordDir(u), "Nobody but you is to know it, and it is gone with the session.\n")
			}
			if err != nil {
				return err
			}
			return a.locked(c.Context(), wordDir(u))
		},
	}
}

// wrongWord is how long a wrong word takes.
const wrongWord = time.Second

// locked asks until the word is typed, or ctx ends, as it does when the terminal is
// gone. Keys that would end or stop a program do nothing meanwhile.
func (a *app) locked(ctx context.Context, dir string) error {
	signal.Ignore(unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP)
	defer signal.Reset(unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP)
	fmt.Fprint(a.Err, "\x1b[H\x1b[2J\x1b[3J")
	for {
		word, err := a.ask(ctx, "Locked by a guest. Word: ")
		if err != nil {
			return err // there is no terminal any more
		}
		if opens, err := guestlock.Opens(dir, word); opens || err != nil {
			return err
		}
		time.Sleep(wrongWord)
	}
}

// unlockGuest is what PAM asks in a guest's session (pam_exec(8), by the stack that
// the session's plan has): whether what was typed is the guest's word.
func (a *app) unlockGuest() *cobra.Command {
	return &cobra.Command{
		Use:    "unlock",
		Short:  "Look whether what is read is the word, as PAM does in a guest's session",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			u, err := guestItself()
			if err != nil {
				return err
			}
			if os.Getenv("PAM_USER") != u.Username {
				return errors.New("a guest is nobody else")
			}
			word, err := io.ReadAll(io.LimitReader(a.In, guestlock.MostWord+1))
			if err != nil {
				return fmt.Errorf("read the word: %w", err)
			}
			opens, err := guestlock.Opens(wordDir(u), strings.TrimRight(string(word), "\x00"))
			if err == nil && !opens {
				err = errors.New("this is not the word")
			}
			return err
		},
	}
}
