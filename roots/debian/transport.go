package debian

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// workers is how many files are downloaded at the same time.
const workers = 8

// client is shared, so that connections are kept from one file to the next.
var client = sync.OnceValue(func() *http.Client {
	t := &http.Transport{
		Proxy:                 proxyFunc(aptProxies()),
		DialContext:           (&net.Dialer{Timeout: 20 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   workers,
		MaxConnsPerHost:       2 * workers,
		IdleConnTimeout:       60 * time.Second,
		TLSHandshakeTimeout:   20 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		ForceAttemptHTTP2:     true,
		// Content is hashed as it is; nobody may unpack it on the way.
		DisableCompression: true,
	}
	return &http.Client{Transport: t}
})

var proxyLine = regexp.MustCompile(`^Acquire::(http|https)::Proxy(?:::([^ ]+))? "([^"]*)";$`)

// aptProxies asks apt which proxies it was told to use: scheme, or
// scheme/host, to URL or "DIRECT" (apt-transport-http(1)). apt-config runs
// nothing of the configuration that it reads.
func aptProxies() map[string]string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "apt-config", "dump")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	return parseProxies(out)
}

func parseProxies(dump []byte) map[string]string {
	proxies := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(dump)); s.Scan(); {
		m := proxyLine.FindStringSubmatch(s.Text())
		if m == nil || m[3] == "" {
			continue
		}
		key := m[1]
		if m[2] != "" {
			key += "/" + strings.ToLower(m[2])
		}
		proxies[key] = m[3]
	}
	return proxies
}

// proxyFunc takes apt's proxies first and the environment's otherwise. As in
// apt, https goes through the proxy for http unless it has its own.
func proxyFunc(proxies map[string]string) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		host := strings.ToLower(r.URL.Hostname())
		keys := []string{r.URL.Scheme + "/" + host, r.URL.Scheme}
		if r.URL.Scheme == "https" {
			keys = append(keys, "http/"+host, "http")
		}
		for _, k := range keys {
			switch p := proxies[k]; p {
			case "":
			case "DIRECT":
				return nil, nil
			default:
				return url.Parse(p)
			}
		}
		return http.ProxyFromEnvironment(r)
	}
}
