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

func (p parameters) proxyProtocol() (transport.ProxyProtocol, error) {
	version, err := p.oneOf(transport.ProxyProtocolParameter, "v1", "v2")
	return map[string]transport.ProxyProtocol{"v1": transport.ProxyProtocolV1, "v2": transport.ProxyProtocolV2}[version], err
}

// streamDestination is destination for a scheme that is spoken over TCP and knows these
// parameters, which it returns as well.
func streamDestination(d *transport.Dialer, def Definition, u *url.URL, known ...string) (transport.Destination, parameters, error) {
	to, err := destinationFor(d, def, u)
	if err != nil {
		return transport.Destination{}, nil, err
	}
	given, err := parametersOf(u, append(known, transport.ProxyProtocolParameter)...)
	if err == nil {
		to.Proxy, err = given.proxyProtocol()
	}
	return to, given, err
}
