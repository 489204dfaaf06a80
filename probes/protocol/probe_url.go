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
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/probes/transport"
)

// destination works out where a definition's URL leads. An address that no probe
// may connect to is an error already here, and so is a name that is out of bounds; what
// names resolve to is checked at every dial.
func destinationFor(d *transport.Dialer, def Definition, u *url.URL) (transport.Destination, error) {
	to, err := destinationOf(u, def.own())
	if err != nil {
		return to, err
	}
	return to, admitURL(d, to)
}

// admitURL is admit with an error for who wrote the URL.
func admitURL(d *transport.Dialer, to transport.Destination) error {
	err := d.Admit(to)
	switch {
	case errors.Is(err, egress.ErrAddressRefused):
		return fmt.Errorf("healthCheckURL leads to an address that probes may not connect to: %w: write another host%s", err, egress.OrHaveItAllowed)
	case err != nil:
		return fmt.Errorf("healthCheckURL leads to an address that probes may not connect to: %w", err)
	}
	return nil
}

// own is where a definition's endpoint is.
func (def Definition) own() transport.Destination {
	own := transport.Destination{Addr: netip.AddrPortFrom(def.Address, def.Port), ServerName: def.Name}
	if def.Name != "" && !def.Address.IsValid() {
		own.DialName = def.Name + "." // absolute, as all names of endpoints are
	}
	return own
}

// destinationOf takes the host and the port from the URL, and what it leaves out
// from own. The name that own is called by means own.
func destinationOf(u *url.URL, own transport.Destination) (transport.Destination, error) {
	if u.Opaque != "" {
		return transport.Destination{}, fmt.Errorf("healthCheckURL has no // after %[1]q: write %[1]s://host:port", u.Scheme)
	}
	port, err := portOf(u, own.Addr.Port())
	if err != nil {
		return transport.Destination{}, err
	}
	to := own
	if host := strings.ToLower(u.Hostname()); host != "" && (own.ServerName == "" || strings.TrimSuffix(host, ".") != own.ServerName) {
		to = transport.Destination{}
		if addr, err := netip.ParseAddr(host); err == nil {
			to.Addr = netip.AddrPortFrom(addr, port)
		} else {
			to.DialName = host
		}
	}
	to.Addr = netip.AddrPortFrom(to.Addr.Addr(), port)
	switch addr := to.Addr.Addr(); {
	case to.DialName != "" && !resolver.IsHostName(to.DialName):
		return transport.Destination{}, errors.New("healthCheckURL has a host that is neither an address nor a DNS name:" +
			" write IPv6 addresses in brackets, and names in ASCII (xn--...)")
	case to.DialName == "" && !addr.IsValid():
		return transport.Destination{}, errors.New("healthCheckURL has no host and the endpoint has no IP address: write a host")
	case addr.Zone() != "":
		return transport.Destination{}, errors.New("healthCheckURL has an address with a zone (%...), which is valid on one host only: remove it")
	}
	return to, nil
}

func portOf(u *url.URL, own uint16) (uint16, error) {
	switch text := u.Port(); {
	case text != "":
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return 0, errors.New("healthCheckURL has a port out of range: write one from 1 to 65535")
		}
		return uint16(port), nil
	case own == 0:
		return 0, fmt.Errorf("healthCheckURL has no port and the endpoint has no TCP port: write one, as in %s://host:8080", u.Scheme)
	}
	return own, nil
}

// streamDestination is destinationFor a scheme that is spoken over TCP.
func streamDestination(d *transport.Dialer, def Definition, u *url.URL) (transport.Destination, error) {
	to, err := destinationFor(d, def, u)
	to.Proxy = def.Proxy
	return to, err
}

// fieldsOf are the fields of healthCheck that say what the parameters of a URL might be meant
// to. The CRD has the same texts.
var fieldsOf = map[string]string{
	"dns":      "write healthCheck.dns.type or healthCheck.dns.transport instead",
	"grpc":     "write healthCheck.grpc.watch, service or authority instead",
	"grpcs":    "write healthCheck.grpc.watch, service or authority instead",
	"mysql":    "write healthCheck.mysql.role, maxLag or sslMode instead",
	"postgres": "write healthCheck.postgres.role, maxLag, query or sslMode instead",
	"redis":    "write healthCheck.redis.role or maxLag instead",
	"rediss":   "write healthCheck.redis.role or maxLag instead",
	"tcp":      "write the fields of healthCheck.tcp, or healthCheck.proxyProtocol, instead",
	"udp":      "write the fields of healthCheck.udp instead",
	"tls":      "write healthCheck.tls.minValidity or healthCheck.proxyProtocol instead",
}

// checkParameters returns an error if a URL has a query, unless it is the endpoint's own.
func checkParameters(u *url.URL) error {
	switch {
	case u.RawQuery == "" && !u.ForceQuery, u.Scheme == "http", u.Scheme == "https":
		return nil
	case fieldsOf[u.Scheme] == "":
		return fmt.Errorf("healthCheckURL: %s URLs take no parameters: remove everything from the question mark on", u.Scheme)
	}
	return fmt.Errorf("healthCheckURL: %s URLs take no parameters: %s", u.Scheme, fieldsOf[u.Scheme])
}

// endsAfterPort returns an error if the URL has a path or a fragment, for schemes that
// have no use for them.
func endsAfterPort(u *url.URL) error {
	if u.Path != "" || u.Fragment != "" {
		return fmt.Errorf("%s URLs take no path or fragment: remove everything after the port", u.Scheme)
	}
	return nil
}
