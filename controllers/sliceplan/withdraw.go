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

package sliceplan

import (
	"net/netip"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// Withdraw plans the removal of endpoints that may no longer be published, and nothing else. It
// is for suspended objects. It changes none of its arguments.
func Withdraw(existing []*discoveryv1.EndpointSlice, refused func(netip.Addr, []discoveryv1.EndpointPort) bool) Plan {
	plan := Plan{Kept: len(existing)}
	for _, slice := range existing {
		isRefused := func(endpoint discoveryv1.Endpoint) bool {
			return slices.ContainsFunc(endpoint.Addresses, func(text string) bool {
				address, err := netip.ParseAddr(text)
				return err == nil && refused(address, slice.Ports)
			})
		}
		if !slices.ContainsFunc(slice.Endpoints, isRefused) {
			continue
		}
		changed := slice.DeepCopy()
		changed.Endpoints = slices.DeleteFunc(changed.Endpoints, isRefused)
		if len(changed.Endpoints) > 0 {
			plan.Update = append(plan.Update, changed)
			continue
		}
		plan.Delete = append(plan.Delete, slice)
		plan.Kept--
	}
	return plan
}
