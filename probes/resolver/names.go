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

package resolver

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// CanonicalName returns the form in which a user's DNS name is looked up and compared: in lower case
// and without a final dot. Names are absolute with or without that dot. The error says what to
// write instead.
func CanonicalName(text string) (string, error) {
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	switch {
	case IsHostName(name):
		return name, nil
	case strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }):
		if ascii, err := idna.Lookup.ToASCII(name); err == nil && IsHostName(ascii) {
			return "", fmt.Errorf("%q is not in ASCII: write %s", text, ascii)
		}
		return "", fmt.Errorf("%q is not in ASCII: write its xn-- form", text)
	case looksLikeAddress(name):
		return "", fmt.Errorf("%q is not an IPv4 or IPv6 address", text)
	}
	return "", fmt.Errorf("%q is neither an IPv4 or IPv6 address nor a DNS name", text)
}

// looksLikeAddress reports whether a text was meant as an address: names do not end in a number, and
// have no colon.
func looksLikeAddress(text string) bool {
	last := text[strings.LastIndexByte(text, '.')+1:]
	return strings.Contains(text, ":") && !strings.Contains(text, "//") ||
		last != "" && strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x")
}

// ServiceScheme is what the name of SRV records begins with.
const ServiceScheme = "srv://"

// ServiceName is the name of SRV records (RFC 2782).
type ServiceName struct {
	// Name is all of it, in its canonical form.
	Name string
	// Service is its first label, and Protocol the second, without their underscores.
	// Protocol is "tcp", "udp" or "sctp".
	Service, Protocol string
}

var errServiceName = errors.New("write srv:// and the name of SRV records, as in srv://_postgresql._tcp.example.internal")

// ParseServiceName reads the text after ServiceScheme. The error says what to write instead.
func ParseServiceName(text string) (ServiceName, error) {
	name, err := CanonicalName(text)
	if err != nil {
		return ServiceName{}, fmt.Errorf("%w: %w", err, errServiceName)
	}
	labels := strings.SplitN(name, ".", 3)
	if len(labels) < 3 || len(labels[0]) < 2 || labels[0][0] != '_' || labels[1][:1] != "_" {
		return ServiceName{}, errServiceName
	}
	parsed := ServiceName{Name: name, Service: labels[0][1:], Protocol: labels[1][1:]}
	if !slices.Contains([]string{"tcp", "udp", "sctp"}, parsed.Protocol) {
		return ServiceName{}, fmt.Errorf("%q is not _tcp, _udp or _sctp: %w", labels[1], errServiceName)
	}
	return parsed, nil
}

// RecordType is a type of DNS records, by IANA's number.
type RecordType uint16

// Types of records that lead to endpoints.
const (
	RecordA    RecordType = 1
	RecordAAAA RecordType = 28
	RecordSRV  RecordType = 33
)

// Question is what name servers are asked.
type Question struct {
	// Name is canonical.
	Name string
	Type RecordType
	// Servers are the name servers to ask, as JoinServers writes them; "" for the operator's own.
	Servers string
}

// NoServers in Question.Servers means that none of the name servers may be asked.
const NoServers = "none"

// JoinServers returns name servers in the form that a Question has them in.
func JoinServers(servers []netip.AddrPort) string {
	texts := make([]string, len(servers))
	for i, server := range servers {
		texts[i] = server.String()
	}
	return strings.Join(texts, ",")
}

// splitServers is the reverse of JoinServers.
func splitServers(text string) []netip.AddrPort {
	var servers []netip.AddrPort
	for part := range strings.SplitSeq(text, ",") {
		if server, err := netip.ParseAddrPort(part); err == nil {
			servers = append(servers, server)
		}
	}
	return servers
}

// RecordSet holds the records of an answer. Which of the two lists is set depends on the type of the
// question. Both are sorted and without duplicates.
type RecordSet struct {
	Addresses []netip.Addr
	Services  []ServiceRecord
}

// ServiceRecord is one SRV record.
type ServiceRecord struct {
	// Priority is lower for what comes first.
	Priority, Weight uint16
	// Target is the canonical name of the host.
	Target string
	Port   uint16
}

// Sort sorts the lists, and removes duplicates and what exceeds MaxRecords.
func (s *RecordSet) Sort() {
	slices.SortFunc(s.Addresses, netip.Addr.Compare)
	s.Addresses = slices.Compact(s.Addresses)
	slices.SortFunc(s.Services, func(a, b ServiceRecord) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Weight, b.Weight))
	})
	s.Services = slices.Compact(s.Services)
	s.Addresses = s.Addresses[:min(len(s.Addresses), MaxRecords)]
	s.Services = s.Services[:min(len(s.Services), MaxRecords)]
}

func (s RecordSet) empty() bool { return len(s.Addresses)+len(s.Services) == 0 }

func (s RecordSet) equal(other RecordSet) bool {
	return slices.Equal(s.Addresses, other.Addresses) && slices.Equal(s.Services, other.Services)
}

// IsHostName reports whether a text in lower case is a name that can be looked up. RFC 1123 does not
// allow underscores, but private zones have them. A text that ends in a number is a mistyped
// address, or a disguised one: some resolvers read 2130706433 and 0x7f.1 as addresses.
func IsHostName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if len(name) > 253 {
		return false
	}
	last := ""
	for last = range strings.SplitSeq(name, ".") {
		if last == "" || len(last) > 63 || strings.Trim(last, HostNameBytes) != "" {
			return false
		}
	}
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

// HostNameBytes are the characters of the labels of host names, in lower case.
const HostNameBytes = "abcdefghijklmnopqrstuvwxyz0123456789-_"
