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

package endpoint

import (
	"slices"
	"strings"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes/resolver"
)

// IsDNSName reports whether an address of the spec is meant to be a DNS name, and not an IP
// address. The name may be invalid.
func IsDNSName(address string) bool {
	if strings.HasPrefix(address, resolver.ServiceScheme) {
		return true
	}
	return !strings.Contains(address, ":") && strings.ContainsFunc(address, func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80
	})
}

// HasDNSName reports whether any endpoint of a spec has a DNS name for an address.
func HasDNSName(spec *farpointv1.ExternalServiceSpec) bool {
	return slices.ContainsFunc(spec.Endpoints, func(endpoint farpointv1.Endpoint) bool { return IsDNSName(endpoint.Address) })
}

// DNSName is a DNS name of the spec.
type DNSName struct {
	// Name is canonical; it is that of the host, or of SRV records.
	Name string
	// Service is set for SRV records.
	Service *resolver.ServiceName
}

// ParseName reads an address for which IsDNSName reports true.
func ParseName(address string) (DNSName, error) {
	if rest, ok := strings.CutPrefix(address, resolver.ServiceScheme); ok {
		service, err := resolver.ParseServiceName(rest)
		return DNSName{service.Name, &service}, err
	}
	name, err := resolver.CanonicalName(address)
	return DNSName{Name: name}, err
}
