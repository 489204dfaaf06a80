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
	discoveryv1 "k8s.io/api/discovery/v1"

	"farpoint.dev/farpoint/controllers/endpoint"
)

// agrees reports whether a slice says all that it should about an endpoint, and nothing that
// somebody else has added. The address is known to be right.
func (p *planner) agrees(present *discoveryv1.Endpoint, v *endpoint.Verdict) bool {
	conditions := v.Conditions(p.wants.Service.Spec.PublishNotReadyAddresses)
	return isBool(present.Conditions.Ready, conditions.Ready) &&
		isBool(present.Conditions.Serving, conditions.Serving) &&
		isBool(present.Conditions.Terminating, conditions.Terminating) &&
		isText(present.Hostname, v.Spec.Hostname) &&
		isText(present.NodeName, v.Spec.NodeName) &&
		isText(present.Zone, v.Spec.Zone) &&
		present.TargetRef == nil && len(present.DeprecatedTopology) == 0 &&
		p.wants.Hints.agree(present.Hints, v.Spec)
}

// build returns the slice of a draft: the existing one, in the version that was read, so that
// nothing newer is overwritten, with all that the operator writes as it should be.
func (p *planner) build(draft *draft) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{AddressType: draft.group.addressType, Endpoints: p.endpoints(draft)}
	if draft.existing != nil {
		draft.existing.ObjectMeta.DeepCopyInto(&slice.ObjectMeta)
	} else {
		slice.Name, slice.Namespace = p.metadata.name(draft.group), p.wants.Service.Namespace
	}
	p.metadata.put(slice, draft.group, string(p.stateOf(draft)))
	slice.Ports = make([]discoveryv1.EndpointPort, len(draft.group.ports.Ports))
	for i := range slice.Ports {
		draft.group.ports.Ports[i].DeepCopyInto(&slice.Ports[i])
	}
	return slice
}

func (p *planner) endpoints(draft *draft) []discoveryv1.Endpoint {
	endpoints := make([]discoveryv1.Endpoint, len(draft.endpoints))
	addresses := make([]string, len(draft.endpoints))
	values := [...]bool{false, true} // one of each will do for all endpoints of a slice
	no, yes := &values[0], &values[1]
	pointer := func(value bool) *bool {
		if value {
			return yes
		}
		return no
	}
	for i, index := range draft.endpoints {
		v := &p.wants.Endpoints[index]
		addresses[i] = v.Text
		conditions := v.Conditions(p.wants.Service.Spec.PublishNotReadyAddresses)
		endpoints[i] = discoveryv1.Endpoint{
			Addresses: addresses[i : i+1 : i+1],
			Conditions: discoveryv1.EndpointConditions{
				Ready: pointer(conditions.Ready), Serving: pointer(conditions.Serving), Terminating: pointer(conditions.Terminating),
			},
			Hostname: nonEmpty(v.Spec.Hostname),
			NodeName: nonEmpty(v.Spec.NodeName),
			Zone:     nonEmpty(v.Spec.Zone),
			Hints:    p.wants.Hints.of(v.Spec),
		}
	}
	return endpoints
}

func isBool(present *bool, want bool) bool { return present != nil && *present == want }

// isText treats nil as an empty text, as nonEmpty does.
func isText(present *string, want string) bool {
	if want == "" {
		return present == nil
	}
	return present != nil && *present == want
}

func nonEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
