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
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// TopologyFault finds what the API server would refuse together with the whole slice
// and all other endpoints in it. The CRD's own rules say the same; this holds where
// the CRD is older than the operator.
func TopologyFault(spec *farpointv1.Endpoint) string {
	checks := [...]struct {
		field, value string
		faults       func(string) []string
	}{
		{"zone", spec.Zone, validation.IsValidLabelValue},
		{"hostname", spec.Hostname, validation.IsDNS1123Label},
		{"nodeName", spec.NodeName, validation.IsDNS1123Subdomain},
	}
	for _, check := range checks {
		if check.value == "" {
			continue
		}
		if faults := check.faults(check.value); len(faults) > 0 {
			return fmt.Sprintf("%s %q: %s", check.field, check.value, faults[0])
		}
	}
	return forZonesFault(spec.ForZones)
}

func forZonesFault(zones []string) string {
	if len(zones) > 8 {
		return fmt.Sprintf("forZones has %d zones, more than 8", len(zones))
	}
	for i, zone := range zones {
		if zone == "" || slices.Contains(zones[:i], zone) {
			return fmt.Sprintf("forZones has %q twice, or an empty zone", zone)
		}
		if faults := validation.IsValidLabelValue(zone); len(faults) > 0 {
			return fmt.Sprintf("forZones %q: %s", zone, faults[0])
		}
	}
	return ""
}
