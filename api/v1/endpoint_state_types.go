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

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EndpointStateEntry sets the state of endpoints apart from the list of endpoints, so that
// somebody else than the owner of that list can set it, by server-side apply with a field manager
// for each entry.
//
// +kubebuilder:validation:XValidation:rule="!has(self.until) || self.state != 'Active'",message="until ends the states Draining and Disabled: set one of them, or remove until"
type EndpointStateEntry struct {
	// address is that of the endpoints in spec.endpoints: an IP address, or a DNS name, which
	// stands for all of its addresses. An address that a name leads to may be set by itself. An
	// entry for which there is no endpoint does nothing.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Address string `json:"address"`

	// port is a port of the endpoints; 0, the default, means all of them.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// state is what the endpoints are to be. If their state in spec.endpoints differs, the
	// stricter one counts: Disabled over Draining over Active.
	// +required
	State EndpointState `json:"state"`

	// until is when state ends by itself. By default, it does not.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}
