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

package controllers

import (
	"fmt"
	"net/netip"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// sharedEndpoints finds endpoints that slices of other ExternalServices for the same
// Service publish as well; "" if there are none. kube-proxy takes the conditions of
// either, at random.
func sharedEndpoints(own []endpoint, others []*discoveryv1.EndpointSlice) string {
	const shown = 5
	mine := map[place]string{}
	for i := range own {
		for _, at := range own[i].places() {
			mine[at] = own[i].name
		}
	}
	var found []string
	for _, slice := range others {
		for i := range slice.Endpoints {
			if name, ok := sharedWith(mine, &slice.Endpoints[i], slice.Ports); ok {
				found = append(found, fmt.Sprintf("%s is also in ExternalService %s", name, slice.Labels[farpointv1.OwnerLabel]))
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	found = sorted(found)
	if more := len(found) - shown; more > 0 {
		found = append(found[:shown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(found, "; ") + ": consumers follow now the one and now the other, so keep each address and port in one of them"
}

func sharedWith(mine map[place]string, published *discoveryv1.Endpoint, ports []discoveryv1.EndpointPort) (name string, ok bool) {
	if len(published.Addresses) == 0 {
		return "", false
	}
	address, err := netip.ParseAddr(published.Addresses[0])
	if err != nil {
		return "", false
	}
	for _, port := range ports {
		if name, ok = mine[placeOf(address, port)]; ok {
			return name, true
		}
	}
	return "", false
}
