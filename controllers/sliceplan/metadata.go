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
	"fmt"
	"hash/fnv"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/ownership"
)

// metadata makes the metadata of one object's slices.
type metadata struct {
	owner               *farpointv1.ExternalService
	reference           metav1.OwnerReference
	labels, annotations map[string]string
	// trigger is the annotation that says when the change that is published occurred; "" for
	// none.
	trigger string
	// byZone: each zone's endpoints are in separate slices.
	byZone bool
	// usedNames are the names of existing slices.
	usedNames map[string]bool
}

func newMetadata(wants Wants) metadata {
	options := wants.Owner.Spec.EndpointSlices
	m := metadata{
		owner:       wants.Owner,
		reference:   ownership.DependentReference(wants.Owner, wants.Service),
		annotations: sliceAnnotations(options),
		byZone:      options != nil && options.GroupBy == farpointv1.GroupByZone,
		usedNames:   map[string]bool{},
	}
	m.labels = sliceLabels(wants, m.byZone)
	if !wants.Trigger.IsZero() {
		m.trigger = wants.Trigger.UTC().Format(time.RFC3339Nano)
	}
	return m
}

// zoneOf is the zone by which an endpoint is grouped.
func (m *metadata) zoneOf(e *endpoint.Endpoint) string {
	if !m.byZone {
		return ""
	}
	return e.Spec.Zone
}

func (m *metadata) zoneOfSlice(slice *discoveryv1.EndpointSlice) string {
	if !m.byZone {
		return ""
	}
	return slice.Labels[corev1.LabelTopologyZone]
}

// labelsFor are the labels of slices of this zone; "" is that of endpoints without one.
func (m *metadata) labelsFor(zone string) map[string]string {
	if zone == "" {
		return m.labels
	}
	labels := maps.Clone(m.labels)
	labels[corev1.LabelTopologyZone] = zone
	return labels
}

// equal reports whether a slice has the metadata of its group, apart from the trigger time, which
// is that of its last write, and the state of its endpoints.
func (m *metadata) equal(slice *discoveryv1.EndpointSlice, group *sliceGroup) bool {
	if m.owner.DeletionTimestamp != nil {
		return m.sameAnnotations(slice.Annotations) // see put
	}
	return maps.Equal(slice.Labels, group.labels) && m.sameAnnotations(slice.Annotations) &&
		len(slice.OwnerReferences) == 1 && sameReference(&slice.OwnerReferences[0], &m.reference)
}

func (m *metadata) sameAnnotations(present map[string]string) bool {
	others := len(present)
	for _, own := range []string{corev1.EndpointsLastChangeTriggerTime, farpointv1.SliceStateAnnotation} {
		if _, ok := present[own]; ok {
			others--
		}
	}
	for key, value := range m.annotations {
		if got, ok := present[key]; !ok || got != value {
			return false
		}
	}
	return others == len(m.annotations)
}

func sameReference(a, b *metav1.OwnerReference) bool {
	return a.APIVersion == b.APIVersion && a.Kind == b.Kind && a.Name == b.Name && a.UID == b.UID &&
		ptr.Equal(a.Controller, b.Controller) && ptr.Equal(a.BlockOwnerDeletion, b.BlockOwnerDeletion)
}

// put gives a slice the metadata of its group, and the state of its endpoints. While the owner
// is being deleted, labels and owners stay as they are: the garbage collector may be orphaning
// the slice.
func (m *metadata) put(slice *discoveryv1.EndpointSlice, group *sliceGroup, state string) {
	references := slice.OwnerReferences
	if m.owner.DeletionTimestamp == nil {
		slice.Labels = maps.Clone(group.labels)
		references = []metav1.OwnerReference{*m.reference.DeepCopy()}
	}
	slice.Annotations = maps.Clone(m.annotations)
	if slice.Annotations == nil {
		slice.Annotations = map[string]string{}
	}
	slice.Annotations[farpointv1.SliceStateAnnotation] = state
	if m.trigger != "" {
		slice.Annotations[corev1.EndpointsLastChangeTriggerTime] = m.trigger
	}
	slice.OwnerReferences = references
}

// name returns the first free name of the group. It depends only on the existing slices, so that
// a plan made from a stale cache creates no duplicate: the API server refuses the name.
func (m *metadata) name(group *sliceGroup) string {
	digest := fnv.New32a()
	fmt.Fprintf(digest, "%s/%s %s %s", m.owner.Namespace, m.owner.Name, group.addressType, group.ports.Key)
	if group.zone != "" {
		fmt.Fprintf(digest, " %s", group.zone)
	}
	for ordinal := 0; ; ordinal++ {
		name := fmt.Sprintf("%s-%08x-%d", m.owner.Name, digest.Sum32(), ordinal)
		if !m.usedNames[name] {
			m.usedNames[name] = true
			return name
		}
	}
}

// sliceLabels are the Service's labels, as Kubernetes' own controller copies them, then the
// user's, then the ones by which consumers and the operator find the slice, whatever the Service
// has under their names.
func sliceLabels(wants Wants, byZone bool) map[string]string {
	labels := maps.Clone(wants.Service.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if options := wants.Owner.Spec.EndpointSlices; options != nil {
		for key, value := range options.Labels {
			labels[key] = string(value)
		}
	}
	delete(labels, corev1.IsHeadlessService)
	if wants.Service.Spec.ClusterIP == corev1.ClusterIPNone {
		labels[corev1.IsHeadlessService] = ""
	}
	if byZone {
		delete(labels, corev1.LabelTopologyZone)
	}
	labels[discoveryv1.LabelServiceName] = wants.Service.Name
	labels[discoveryv1.LabelManagedBy] = farpointv1.ManagedBy
	ownership.Label(labels, wants.Owner, wants.Service.Namespace)
	return labels
}

func sliceAnnotations(options *farpointv1.EndpointSliceOptions) map[string]string {
	if options == nil || len(options.Annotations) == 0 {
		return nil
	}
	annotations := make(map[string]string, len(options.Annotations))
	for key, value := range options.Annotations {
		annotations[key] = string(value)
	}
	return annotations
}
