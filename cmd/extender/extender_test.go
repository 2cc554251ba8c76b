package main

import (
	"net"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
)

func TestCheckAddress(t *testing.T) {
	tests := map[string]struct {
		address string
		want    string // part of the error; empty means none
	}{
		"loopback":    {"127.0.0.1:8888", ""},
		"IPv6":        {"[::1]:8888", ""},
		"by name":     {"localhost:8888", ""},
		"every":       {":8888", "not on loopback"},
		"every, IPv4": {"0.0.0.0:8888", "not on loopback"},
		"a network":   {"10.0.0.1:8888", "write 127.0.0.1:port"},
		"a host":      {"example.com:8888", "not on loopback"},
		"no port":     {"127.0.0.1", "extender.address"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := checkAddress(config.Extender{Address: test.address})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("checkAddress(%q) = %v, want %q", test.address, err, test.want)
			}
		})
	}
}

// TestOthersAreServedWithClientCertificatesOnly: serving TLS alone does not tell who calls.
func TestOthersAreServedWithClientCertificatesOnly(t *testing.T) {
	open := config.Extender{Address: ":8888", Serving: &config.Serving{CertFile: "/c", KeyFile: "/k"}}
	if err := checkAddress(open); err == nil || !strings.Contains(err.Error(), "extender.clientCA") {
		t.Errorf("without client certificates: %v", err)
	}
	open.ClientCA = &config.ClientCA{File: "/ca"}
	if err := checkAddress(open); err != nil {
		t.Error(err)
	}
}

// TestABusyPortIsNamed holds that it is told before anything else is tried.
func TestABusyPortIsNamed(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	settings := config.Default()
	settings.Extender.Address = busy.Addr().String()
	_, err = wire(t.Context(), logr.Discard(), observe.Flags{}, settings, nil)
	if err == nil {
		t.Fatal("wire took a busy port")
	}
	for _, want := range []string{busy.Addr().String(), "in use", "extender.address"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention %q", err, want)
		}
	}
}
