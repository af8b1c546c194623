package registry

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"ninefold/roots/image"
)

// Options are those of a push or a pull.
type Options struct {
	// UserAgent is told to the registry; "" is ninefold.
	UserAgent string
	// Accept gives a pulled image, which is in the store with its signatures, its
	// name there, or refuses it. Without one every image gets its name.
	Accept func(ctx context.Context, reference string, id image.ID) error

	idle, wait time.Duration   // 0 is idle, and a second
	next       *http.Transport // nil is the usual one
}

// firstWait is how long we wait before we try again; a second and a third time
// takes more.
func (o Options) firstWait() time.Duration { return cmp.Or(o.wait, time.Second) }

// parallel is how many blobs travel at a time.
const parallel = 4

// target reads a reference that begins with a registry's host.
func target(reference string) (name.Tag, error) {
	host, _, ok := strings.Cut(reference, "/")
	if !ok || host != "localhost" && !strings.ContainsAny(host, ".:") {
		return name.Tag{}, fmt.Errorf("reference %q: it begins with no registry: want host/name:tag", reference)
	}
	t, err := name.NewTag(reference)
	if err != nil {
		return t, fmt.Errorf("reference %q: %w", reference, err)
	}
	return t, nil
}

// agent is the user agent, to which the client library adds its own.
func (o Options) agent() string { return cmp.Or(o.UserAgent, "ninefold") }

func newTransport(repo name.Repository, o Options) http.RoundTripper {
	next := cmp.Or(o.next, remote.DefaultTransport.(*http.Transport)).Clone()
	next.DisableCompression = true
	return &transport{host: repo.RegistryStr(), next: next, idle: cmp.Or(o.idle, idle), wait: o.firstWait() / 4}
}

// options are the client's. Credentials are those that podman and docker use
// for the caller, from their files and helpers.
func options(t name.Reference, o Options) []remote.Option {
	return []remote.Option{
		remote.WithTransport(newTransport(t.Context(), o)),
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithUserAgent(o.agent()),
		remote.WithJobs(parallel),
		remote.WithRetryBackoff(remote.Backoff{Duration: o.firstWait(), Factor: 3, Jitter: 0.1, Steps: 3}),
	}
}
