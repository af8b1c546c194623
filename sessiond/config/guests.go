package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// GuestServices are the login programs that can let guests in: what they start
// for a guest is known. No other service may, whatever its PAM stack says.
var GuestServices = []string{"login", "lightdm", "greetd"}

// Guests bounds guests that log in. That there are any is for the PAM stack of a
// service to say (sessionctl guest enable).
type Guests struct {
	// Services are those of GuestServices that guests may come by; nil is all.
	Services []string `toml:"services"`
	// Profile is what a guest gets; "" is the built-in profile guest.
	Profile string `toml:"profile"`
	// Most is how many may be in at once; 0 is GuestsMost.
	Most int `toml:"most"`
	// Each is how many one user of the machine may have at once of sessions as a
	// guest that no administrator began; 0 is GuestsEach. They do not count in Most.
	Each int `toml:"each"`
	// Stay is how long one may stay, such as "8h" or "90m"; "" is GuestsStay.
	Stay string `toml:"stay"`
	// Away is for how long one may leave its session for another one on the same
	// seat, before it is ended; "" is GuestsAway, "never" no bound.
	Away string `toml:"away"`
}

// The bounds where the configuration has none, and the highest that it may set.
const (
	GuestsMost = 4
	GuestsEach = 2
	GuestsStay = 24 * time.Hour
	GuestsAway = 30 * time.Minute
	mostGuests = 1000
	mostOfEach = 64
	longest    = 366 * 24 * time.Hour
)

// By reports whether guests may come by a service.
func (g Guests) By(service string) bool {
	return slices.Contains(GuestServices, service) && (g.Services == nil || slices.Contains(g.Services, service))
}

// ProfileName is the profile that a guest gets.
func (g Guests) ProfileName() string {
	if g.Profile == "" {
		return "guest"
	}
	return g.Profile
}

// AtOnce is how many may be in at once.
func (g Guests) AtOnce() int {
	if g.Most == 0 {
		return GuestsMost
	}
	return g.Most
}

// OfEach is how many one user may have at once.
func (g Guests) OfEach() int {
	if g.Each == 0 {
		return GuestsEach
	}
	return g.Each
}

// Longest is how long one may stay.
func (g Guests) Longest() time.Duration {
	d, err := time.ParseDuration(g.Stay)
	if err != nil || d <= 0 {
		return GuestsStay // "", since the file was checked
	}
	return d
}

// never is a bound that there is not.
const never = "never"

// MostAway is for how long one may leave its session; 0 is no bound.
func (g Guests) MostAway() time.Duration {
	if g.Away == never {
		return 0
	}
	d, err := time.ParseDuration(g.Away)
	if err != nil || d <= 0 {
		return GuestsAway // "", since the file was checked
	}
	return d
}

// check reports what is wrong by bad, which names a key.
func (g Guests) check(bad func(msg string, key ...string)) {
	for _, s := range g.Services {
		if !slices.Contains(GuestServices, s) {
			bad(fmt.Sprintf("guests cannot come by %q; services are %s", s, strings.Join(GuestServices, ", ")), "guests", "services")
		}
	}
	if g.Most < 0 || g.Most > mostGuests {
		bad(fmt.Sprintf("guests.most is %d; it is at most %d", g.Most, mostGuests), "guests", "most")
	}
	if g.Each < 0 || g.Each > mostOfEach {
		bad(fmt.Sprintf("guests.each is %d; it is at most %d", g.Each, mostOfEach), "guests", "each")
	}
	wrong := func(text string) bool {
		d, err := time.ParseDuration(text)
		return text != "" && (err != nil || d <= 0 || d > longest)
	}
	if wrong(g.Stay) {
		bad(fmt.Sprintf("guests.stay is %q; write a time like \"8h\" or \"90m\"", g.Stay), "guests", "stay")
	}
	if g.Away != never && wrong(g.Away) {
		bad(fmt.Sprintf("guests.away is %q; write a time like \"10m\", or \"never\"", g.Away), "guests", "away")
	}
}
