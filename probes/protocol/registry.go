/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package protocol

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// Definition says what is checked, and how.
type Definition struct {
	// URL names the protocol by its scheme and the place by its host and port.
	// An empty host or port means the endpoint's own.
	URL string
	// Address and Port are the endpoint's own. Port is 0 when the endpoint has no
	// TCP port; the URL must then name one, or the scheme have one.
	Address netip.Addr
	Port    uint16
	// Name is the canonical DNS name that led to the address, or "". Probes connect to the
	// address and call it by the name: in the Host header, and in TLS. Without an Address,
	// they connect to whatever the name leads to at that time.
	Name string
	// UDPPort is the endpoint's first UDP port; 0 when it has none.
	UDPPort uint16

	// Settings that one scheme or another looks at; the others ignore them. nil
	// means the defaults. Definitions may share them: they are only read.
	HTTP     *HTTPSettings
	TLS      *transport.TLSSettings
	TCP      *TCPSettings
	UDP      *UDPSettings
	GRPC     *GRPCSettings
	DNS      *DNSSettings
	Postgres *PostgresSettings
	MySQL    *MySQLSettings
	Redis    *RedisSettings
	// Proxy is the header that connections begin with, in all schemes over TCP except dns.
	Proxy transport.ProxyProtocol
	// Credentials are for the schemes that take some, see TakesCredentials; nil for none.
	Credentials *Credentials
	// SendCredentialsToUnverifiedServers has credentials sent by http, grpc and redis, and over
	// TLS without verification. Any server that answers there may then have them.
	SendCredentialsToUnverifiedServers bool
}

// Factory prepares a prober. Its error is shown to the user who wrote the
// definition, so that it says what is wrong and what to write instead.
type Factory func(Definition, *url.URL) (probes.Prober, error)

// Registry maps a URL's scheme to the factory of its probers.
type Registry map[string]Factory

// NewRegistry returns the probers that Farpoint has. All of them connect through
// the dialer, and those of schemes that are out of its bounds cannot be had.
func NewRegistry(dialer *transport.Dialer) Registry {
	with := func(factory func(*transport.Dialer, Definition, *url.URL) (probes.Prober, error)) Factory {
		return func(def Definition, u *url.URL) (probes.Prober, error) { return factory(dialer, def, u) }
	}
	postgresDefaults := sync.OnceValues(postgresDefaults) // of all probes of this registry
	registry := Registry{
		"dns":   with(newDNSProber),
		"grpc":  with(newGRPCProber),
		"grpcs": with(newGRPCProber),
		"http":  with(newHTTPProber),
		"https": with(newHTTPProber),
		"icmp":  with(newICMPProber),
		"mysql": with(newMySQLProber),
		"postgres": func(def Definition, u *url.URL) (probes.Prober, error) {
			return newPostgresProber(dialer, postgresDefaults, def, u)
		},
		"redis":  with(newRedisProber),
		"rediss": with(newRedisProber),
		"tcp":    with(newTCPProber),
		"tls":    with(newTLSProber),
		"udp":    with(newUDPProber),
	}
	for scheme := range registry {
		if err := dialer.Bounds.CheckScheme(scheme); err != nil {
			registry[scheme] = func(Definition, *url.URL) (probes.Prober, error) { return nil, fmt.Errorf("healthCheckURL: %w", err) }
		}
	}
	return registry
}

// New prepares the prober for a definition. The error mentions "healthCheckURL", the field that
// users know it by, and never repeats the URL's user info.
func (r Registry) New(def Definition) (probes.Prober, error) {
	u, err := url.Parse(def.URL)
	if err != nil {
		return nil, fmt.Errorf("healthCheckURL cannot be parsed: %s", parseAdvice(err))
	}
	factory, ok := r[strings.ToLower(u.Scheme)]
	switch {
	case u.Scheme == "":
		return nil, fmt.Errorf("healthCheckURL has no scheme: start it with one of %s", r.schemes())
	case !ok:
		return nil, fmt.Errorf("healthCheckURL has the unknown scheme %q: use one of %s", u.Scheme, r.schemes())
	}
	if err := checkUserInfo(u); err != nil {
		return nil, err
	}
	if err := checkParameters(u); err != nil {
		return nil, err
	}
	return factory(def, u)
}

func (r Registry) schemes() string {
	return strings.Join(slices.Sorted(maps.Keys(r)), "://, ") + "://"
}

// parseAdvice says in words of its own what url.Parse found: its error quotes parts
// of the URL, which may be those of a password.
func parseAdvice(err error) string {
	var (
		escape url.EscapeError
		host   url.InvalidHostError
	)
	switch {
	case errors.As(err, &escape):
		return "it has a % that is not followed by two hexadecimal digits: write %25 for a percent sign"
	case errors.As(err, &host):
		return "its host has a character that hosts cannot have: write a DNS name or an address"
	}
	return "write it as scheme://host:port/path, with IPv6 addresses in brackets"
}
