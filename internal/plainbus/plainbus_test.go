package plainbus

import "testing"

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{"unix:path=/run/a%20b": "/run/a b", "unix:abstract=x,guid=1": "@x", "unix:guid=1,path=/x": "/x",
		"": "", "unix:": "", "tcp:host=x,path=/x": "", "unix:path=%zz": "", "unix:path=": ""} {
		if got, err := socket(address); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", address, got, err)
		}
	}
}
