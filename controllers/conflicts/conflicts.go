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

package conflicts

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/phrase"
)

// Values of the labels that say who manages slices and Endpoints, of the controllers of
// kube-controller-manager.
const (
	PodSliceManager      = "endpointslice-controller.k8s.io"
	mirrorSliceManager   = "endpointslicemirroring-controller.k8s.io"
	EndpointsManagedBy   = "endpoints.kubernetes.io/managed-by"
	PodEndpointsManager  = "endpoint-controller"
	LeaderElectionRecord = "control-plane.alpha.kubernetes.io/leader"
)

// Conflict says who else publishes for the Service, and what to do about it.
type Conflict struct {
	Reason, Message string
}

// Neighbours are all sources of a Service's endpoints besides the slices of one ExternalService.
type Neighbours struct {
	Service *corev1.Service
	// Rivals are slices of other ExternalServices.
	Rivals []*discoveryv1.EndpointSlice
	// foreign are slices of neither an ExternalService nor Pods.
	foreign []*discoveryv1.EndpointSlice
	// Pods are slices of Pods.
	Pods []*discoveryv1.EndpointSlice
	// Endpoints has the Service's name; nil if there is none that matters.
	Endpoints metav1.Object
}

// Add adds a slice of the Service to the list where it belongs, unless it is the owner's own.
func (n *Neighbours) Add(slice *discoveryv1.EndpointSlice, owner types.NamespacedName) {
	switch written, ours := ownership.OfSlice(slice); {
	case ours && written == owner:
	case ours:
		n.Rivals = append(n.Rivals, slice)
	case !ownership.IsOurs(slice): // or it is about to be repaired
		n.foreign = append(n.foreign, slice)
	}
}

// Find checks each kind of neighbour. The reason is that of the first conflict; the message names
// all of them.
func Find(own []endpoint.Endpoint, around Neighbours) *Conflict {
	var conflict *Conflict
	for _, look := range []func([]endpoint.Endpoint, Neighbours) *Conflict{leftoverPodSlices, mirroredEndpoints, foreignSlices, sharedEndpoints} {
		switch next := look(own, around); {
		case next == nil:
		case conflict == nil:
			conflict = next
		default:
			conflict.Message += ". Also, " + next.Message
		}
	}
	return conflict
}

// leftoverPodSlices finds the slices that Kubernetes' own controller leaves behind when a Service
// loses its selector: from then on it ignores the Service.
func leftoverPodSlices(_ []endpoint.Endpoint, around Neighbours) *Conflict {
	if len(around.Service.Spec.Selector) > 0 || len(around.Pods) == 0 {
		return nil
	}
	return &Conflict{farpointv1.LeftoverPodSlicesReason, fmt.Sprintf("%s left from when Service %s had a selector, and the Pods still get traffic: kubectl delete endpointslices --namespace %s --selector %s=%s,%s=%s",
		enumerated("EndpointSlice %s is", "EndpointSlices %s are", around.Pods), around.Service.Name,
		around.Service.Namespace, discoveryv1.LabelServiceName, around.Service.Name, discoveryv1.LabelManagedBy, PodSliceManager)}
}

// mirroredEndpoints finds an Endpoints object that Kubernetes copies into slices, or the
// copies.
func mirroredEndpoints(_ []endpoint.Endpoint, around Neighbours) *Conflict {
	mirrored := around.Endpoints != nil && IsMirrored(around.Endpoints)
	for _, slice := range around.foreign {
		mirrored = mirrored || slice.Labels[discoveryv1.LabelManagedBy] == mirrorSliceManager
	}
	if !mirrored || len(around.Service.Spec.Selector) > 0 {
		return nil
	}
	return &Conflict{farpointv1.MirroredEndpointsReason, fmt.Sprintf("Kubernetes copies Endpoints %[1]s, which does not belong to this object, into EndpointSlices of the Service: delete it, or stop that with kubectl label endpoints --namespace %[2]s %[1]s %[3]s=true",
		around.Service.Name, around.Service.Namespace, discoveryv1.LabelSkipMirror)}
}

// IsMirrored follows shouldMirror of Kubernetes' endpointslicemirroring controller.
func IsMirrored(endpoints metav1.Object) bool {
	_, elects := endpoints.GetAnnotations()[LeaderElectionRecord]
	return endpoints.GetLabels()[discoveryv1.LabelSkipMirror] != "true" && !elects
}

// foreignSlices finds slices of others, except those that mirroredEndpoints reports.
func foreignSlices(_ []endpoint.Endpoint, around Neighbours) *Conflict {
	var foreign []*discoveryv1.EndpointSlice
	for _, slice := range around.foreign {
		if slice.Labels[discoveryv1.LabelManagedBy] != mirrorSliceManager {
			foreign = append(foreign, slice)
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	return &Conflict{farpointv1.ForeignEndpointSlicesReason, fmt.Sprintf("%s written for Service %s by somebody else: delete what should not be there, or use a separate Service for these endpoints",
		enumerated("EndpointSlice %s is", "EndpointSlices %s are", foreign), around.Service.Name)}
}

// sharedEndpoints finds endpoints that slices of other ExternalServices for the same Service
// publish as well, or those of its Pods. kube-proxy follows the conditions of either, at random.
func sharedEndpoints(own []endpoint.Endpoint, around Neighbours) *Conflict {
	if len(around.Rivals) == 0 && len(around.Pods) == 0 {
		return nil
	}
	mine := make(map[endpoint.Key]string, len(own))
	for i := range own {
		for _, at := range own[i].Keys() {
			mine[at] = own[i].Name
		}
	}
	var shared []string
	look := func(slice *discoveryv1.EndpointSlice, where string) {
		for i := range slice.Endpoints {
			if name, ok := sharedWith(mine, &slice.Endpoints[i], slice.Ports); ok {
				shared = append(shared, name+" is also in "+where)
			}
		}
	}
	for _, slice := range around.Rivals {
		owner, _ := ownership.Labelled(slice)
		look(slice, "ExternalService "+phrase.NameFrom(slice.Namespace, owner))
	}
	for _, slice := range around.Pods {
		look(slice, fmt.Sprintf("EndpointSlice %s of the Service's Pods", slice.Name))
	}
	if len(shared) == 0 {
		return nil
	}
	return &Conflict{farpointv1.SharedEndpointReason, phrase.List(slices.Sorted(slices.Values(shared)), "; ") + ": consumers follow either of them, so keep each address and port in one of them"}
}

func sharedWith(mine map[endpoint.Key]string, published *discoveryv1.Endpoint, ports []discoveryv1.EndpointPort) (name string, ok bool) {
	if len(published.Addresses) == 0 {
		return "", false
	}
	for _, port := range ports {
		if name, ok = mine[endpoint.HostOf(published.Addresses[0]).Key(port)]; ok {
			return name, true
		}
	}
	return "", false
}

// enumerated names slices, and who manages them if a label says so.
func enumerated(one, several string, list []*discoveryv1.EndpointSlice) string {
	var names []string
	for _, slice := range list {
		name := slice.Name
		if manager := slice.Labels[discoveryv1.LabelManagedBy]; manager != "" && manager != PodSliceManager {
			name += " (of " + manager + ")"
		}
		names = append(names, name)
	}
	if len(names) == 1 {
		return fmt.Sprintf(one, names[0])
	}
	return fmt.Sprintf(several, phrase.List(slices.Sorted(slices.Values(names)), ", "))
}
