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

// agrees reports whether a slice says of an endpoint all that it should, and nothing that
// somebody else has put there. The address is known to be right.
func (p *planner) agrees(present *discoveryv1.Endpoint, wanted *endpoint.Verdict) bool {
	conditions := wanted.Conditions(p.wants.Service.Spec.PublishNotReadyAddresses)
	return isBool(present.Conditions.Ready, conditions.Ready) &&
		isBool(present.Conditions.Serving, conditions.Serving) &&
		isBool(present.Conditions.Terminating, conditions.Terminating) &&
		isText(present.Hostname, wanted.Spec.Hostname) &&
		isText(present.NodeName, wanted.Spec.NodeName) &&
		isText(present.Zone, wanted.Spec.Zone) &&
		present.TargetRef == nil && len(present.DeprecatedTopology) == 0 &&
		p.wants.Hints.agree(present.Hints, wanted.Spec)
}

// build makes the slice of a draft: the existing one, in the version that was seen, so
// that nothing newer is overwritten, with all that is ours as it should be.
func (p *planner) build(draft *draft) *discoveryv1.EndpointSlice {
	made := &discoveryv1.EndpointSlice{AddressType: draft.group.addressType, Endpoints: p.endpoints(draft)}
	if draft.existing != nil {
		draft.existing.ObjectMeta.DeepCopyInto(&made.ObjectMeta)
	} else {
		made.Name, made.Namespace = p.metadata.name(draft.group), p.wants.Service.Namespace
	}
	p.metadata.put(made, draft.group, string(p.stateOf(draft)))
	made.Ports = make([]discoveryv1.EndpointPort, len(draft.group.ports.Ports))
	for i := range made.Ports {
		draft.group.ports.Ports[i].DeepCopyInto(&made.Ports[i])
	}
	return made
}

func (p *planner) endpoints(draft *draft) []discoveryv1.Endpoint {
	made := make([]discoveryv1.Endpoint, len(draft.endpoints))
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
		wanted := &p.wants.Endpoints[index]
		addresses[i] = wanted.Text
		conditions := wanted.Conditions(p.wants.Service.Spec.PublishNotReadyAddresses)
		made[i] = discoveryv1.Endpoint{
			Addresses: addresses[i : i+1 : i+1],
			Conditions: discoveryv1.EndpointConditions{
				Ready: pointer(conditions.Ready), Serving: pointer(conditions.Serving), Terminating: pointer(conditions.Terminating),
			},
			Hostname: nonEmpty(wanted.Spec.Hostname),
			NodeName: nonEmpty(wanted.Spec.NodeName),
			Zone:     nonEmpty(wanted.Spec.Zone),
			Hints:    p.wants.Hints.of(wanted.Spec),
		}
	}
	return made
}

func isBool(present *bool, wanted bool) bool { return present != nil && *present == wanted }

// isText takes no text for an empty one, as nonEmpty does.
func isText(present *string, wanted string) bool {
	if wanted == "" {
		return present == nil
	}
	return present != nil && *present == wanted
}

func nonEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
