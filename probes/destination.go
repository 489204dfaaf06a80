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

package probes

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// destination is where a probe connects. Two are equal if they are the same place.
type destination struct {
	// name is empty when the host is an address.
	name string
	// addr always holds the port, and the address unless there is a name.
	addr netip.AddrPort
	// called is the DNS name by which the place is spoken to, where that is another than
	// what is connected to: an address that somebody else has resolved the name to.
	called string
	// proxy is what is said ahead of everything else.
	proxy proxyProtocol
}

// place is the destination without its port.
func (d destination) place() place { return place{addr: d.addr.Addr(), name: d.name} }

// host is the name or the address by which the place is spoken to, without brackets.
func (d destination) host() string {
	if d.called != "" {
		return d.called
	}
	return d.connected()
}

// connected is the name or the address that is connected to.
func (d destination) connected() string {
	if d.name != "" {
		return d.name
	}
	return d.addr.Addr().String()
}

// String is host:port, as in a URL.
func (d destination) String() string { return d.withPort(d.host()) }

func (d destination) withPort(host string) string {
	return net.JoinHostPort(host, strconv.Itoa(int(d.addr.Port())))
}

// destination works out where a definition's URL leads. An address that no probe
// may connect to is an error already here, and so is a name that is out of bounds; what
// names resolve to is checked at every dial.
func (d *Dialer) destination(def Definition, u *url.URL) (destination, error) {
	to, err := destinationOf(u, def.own())
	if err != nil {
		return to, err
	}
	return to, d.admitURL(to)
}

// admitURL is admit with an error for who wrote the URL.
func (d *Dialer) admitURL(to destination) error {
	err := d.admit(to)
	switch {
	case errors.Is(err, ErrAddressRefused):
		return fmt.Errorf("healthCheckURL leads to where probes may not go: %w: write another host%s", err, orHaveItAllowed)
	case err != nil:
		return fmt.Errorf("healthCheckURL leads to where probes may not go: %w", err)
	}
	return nil
}

// own is where a definition's endpoint is.
func (def Definition) own() destination {
	own := destination{addr: netip.AddrPortFrom(def.Address, def.Port), called: def.Name}
	if def.Name != "" && !def.Address.IsValid() {
		own.name = def.Name + "." // absolute, as all names of endpoints are
	}
	return own
}

// destinationOf takes the host and the port from the URL, and what it leaves out
// from own. The name that own is called by means own.
func destinationOf(u *url.URL, own destination) (destination, error) {
	if u.Opaque != "" {
		return destination{}, fmt.Errorf("healthCheckURL has no // after %[1]q: write %[1]s://host:port", u.Scheme)
	}
	port, err := portOf(u, own.addr.Port())
	if err != nil {
		return destination{}, err
	}
	to := own
	if host := strings.ToLower(u.Hostname()); host != "" && (own.called == "" || strings.TrimSuffix(host, ".") != own.called) {
		to = destination{}
		if addr, err := netip.ParseAddr(host); err == nil {
			to.addr = netip.AddrPortFrom(addr, port)
		} else {
			to.name = host
		}
	}
	to.addr = netip.AddrPortFrom(to.addr.Addr(), port)
	switch addr := to.addr.Addr(); {
	case to.name != "" && !isHostName(to.name):
		return destination{}, errors.New("healthCheckURL has a host that is neither an address nor a DNS name:" +
			" write IPv6 addresses in brackets, and names in ASCII (xn--...)")
	case to.name == "" && !addr.IsValid():
		return destination{}, errors.New("healthCheckURL has no host and the endpoint has no IP address: write a host")
	case addr.Zone() != "":
		return destination{}, errors.New("healthCheckURL has an address with a zone (%...), which means something on one host only: take it out")
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

// isHostName tells names, in small letters, that a resolver can be asked for. The
// underscore is no part of a host name by RFC 1123, yet found in private zones. What
// ends in a number is an address gone wrong, or one in disguise, as some resolvers
// take 2130706433 and 0x7f.1 for addresses.
func isHostName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if len(name) > 253 {
		return false
	}
	last := ""
	for last = range strings.SplitSeq(name, ".") {
		if last == "" || len(last) > 63 || strings.Trim(last, hostNameBytes) != "" {
			return false
		}
	}
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

const hostNameBytes = "abcdefghijklmnopqrstuvwxyz0123456789-_"
