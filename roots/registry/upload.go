package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	protocol "github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// uploads sends blobs to a repository in two requests each, "POST then PUT" of
// the OCI distribution spec. The third one that the client library makes, a
// PATCH, is for blobs in pieces; with blobs of a few kilobytes it costs a registry as
// much as the others together.
type uploads struct {
	repo   name.Repository
	wait   time.Duration // before the first repetition
	client func(context.Context) (*http.Client, error)
}

func newUploads(repo name.Repository, o Options) *uploads {
	u := &uploads{repo: repo, wait: o.firstWait()}
	var mu sync.Mutex
	var ready *http.Client
	u.client = func(ctx context.Context) (*http.Client, error) {
		mu.Lock()
		defer mu.Unlock()
		if ready != nil {
			return ready, nil
		}
		auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repo)
		if err != nil {
			return nil, err
		}
		// It adds credentials to requests to the registry, and to no other host.
		signed, err := protocol.NewWithContext(ctx, repo.Registry, auth, protocol.NewUserAgent(newTransport(repo, o), o.agent()), []string{repo.Scope(protocol.PushScope)})
		if err != nil {
			return nil, err
		}
		ready = &http.Client{Transport: signed, CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= maxRedirects {
				return fmt.Errorf("%w: sent on %d times", ErrRefused, maxRedirects)
			}
			return checkHost(r.URL, via[0].URL)
		}}
		return ready, nil
	}
	return u
}

const maxRedirects = 10

// send sends a blob that the registry does not have.
func (u *uploads) send(ctx context.Context, b *blob) error {
	for wait := u.wait; ; wait *= 3 {
		err := u.once(ctx, b)
		if err == nil || wait > 9*u.wait || !passing(err) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (u *uploads) once(ctx context.Context, b *blob) error {
	client, err := u.client(ctx)
	if err != nil {
		return err
	}
	start := url.URL{Scheme: u.repo.Scheme(), Host: u.repo.RegistryStr(), Path: "/v2/" + u.repo.RepositoryStr() + "/blobs/uploads/"}
	resp, err := request(ctx, client, http.MethodPost, start.String(), nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	to, err := resp.Location()
	if err != nil {
		return fmt.Errorf("%w: it does not say where to send a blob: %w", ErrRefused, err)
	}
	if err := checkHost(to, resp.Request.URL); err != nil {
		return err
	}
	q := to.Query()
	q.Set("digest", hashOf(b.digest).String())
	to.RawQuery = q.Encode()
	_, err = request(ctx, client, http.MethodPut, to.String(), b, http.StatusCreated)
	return err
}

// request makes a request, of a blob or of nothing, and wants an answer of one
// status, whose body is of no interest.
func request(ctx context.Context, client *http.Client, method, to string, b *blob, status int) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, to, nil)
	if err != nil {
		return nil, err
	}
	if b != nil {
		if r.Body, err = b.open(); err != nil {
			return nil, err
		}
		r.ContentLength, r.GetBody = b.size, b.open
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := protocol.CheckError(resp, status); err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, err
}

// checkHost lets nobody who is asked at from send us on to an address of this
// machine or its network, which they may not reach themselves.
func checkHost(to, from *url.URL) error {
	if to.Hostname() == from.Hostname() {
		return nil
	}
	if a, err := netip.ParseAddr(to.Hostname()); err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()) {
		return fmt.Errorf("%w: %s sends us on to %s", ErrRefused, from.Host, to.Host)
	}
	return nil
}

// passing reports whether an error of a connection or of the registry may be
// gone at the next try.
func passing(err error) bool {
	var answer *protocol.Error
	if errors.As(err, &answer) {
		return answer.Temporary()
	}
	var network net.Error
	return errors.As(err, &network) && network.Timeout() || errors.Is(err, errIdle) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}
