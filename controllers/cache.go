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

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"farpoint.dev/farpoint/controllers/apiserver"
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/tenancy"
)

// cacheOptions keeps the cache small. Slices and Endpoints that Kubernetes' own controllers write
// for Pods, which are nearly all of a cluster's, stay out; see podSlices. Of other slices and
// Endpoints, and of Services, it holds only the fields that are read. If namespaces are given, it
// holds only objects in these.
func cacheOptions(namespaces []string) (cache.Options, error) {
	slices, err := labels.Parse(discoveryv1.LabelManagedBy + "!=" + conflicts.PodSliceManager)
	if err != nil {
		return cache.Options{}, fmt.Errorf("select EndpointSlices: %w", err)
	}
	endpoints, err := labels.Parse(conflicts.EndpointsManagedBy + "!=" + conflicts.PodEndpointsManager)
	if err != nil {
		return cache.Options{}, fmt.Errorf("select Endpoints: %w", err)
	}
	watched := make(map[string]cache.Config, len(namespaces))
	for _, namespace := range namespaces {
		watched[namespace] = cache.Config{}
	}
	return cache.Options{
		NewInformer:       apiserver.NewInformer,
		DefaultNamespaces: watched,
		DefaultTransform:  cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&discoveryv1.EndpointSlice{}: {Label: slices, Transform: stripSlice},
			&corev1.Endpoints{}:          {Label: endpoints, Transform: stripEndpoints},
			&corev1.Service{}:            {Transform: stripService},
			tenancy.NamespaceMetadata():  {Transform: tenancy.StripNamespace},
		},
	}, nil
}

// stripSlice keeps of somebody else's slice only who manages it, and for which Service.
func stripSlice(object any) (any, error) {
	if slice, ok := object.(*discoveryv1.EndpointSlice); ok {
		slice.ManagedFields = nil
		if _, ours := ownership.OfSlice(slice); !ours {
			slice.Labels = only(slice.Labels, discoveryv1.LabelServiceName, discoveryv1.LabelManagedBy)
			slice.Annotations, slice.Endpoints, slice.Ports = nil, nil, nil
		}
	}
	return object, nil
}

// stripEndpoints keeps of somebody else's Endpoints object only whether it is copied into slices.
func stripEndpoints(object any) (any, error) {
	if endpoints, ok := object.(*corev1.Endpoints); ok {
		endpoints.ManagedFields = nil
		if _, ours := endpointsOwner(endpoints); !ours {
			endpoints.Labels = only(endpoints.Labels, discoveryv1.LabelSkipMirror)
			endpoints.Annotations = only(endpoints.Annotations, conflicts.LeaderElectionRecord)
			endpoints.Subsets = nil
		}
	}
	return object, nil
}

// stripService removes the fields of a Service that are never read.
func stripService(object any) (any, error) {
	if service, ok := object.(*corev1.Service); ok {
		service.ManagedFields = nil
		service.Status = corev1.ServiceStatus{}
	}
	return object, nil
}

// only returns the entries with these keys.
func only(all map[string]string, keys ...string) map[string]string {
	var kept map[string]string
	for _, key := range keys {
		if value, ok := all[key]; ok {
			if kept == nil {
				kept = make(map[string]string, len(keys))
			}
			kept[key] = value
		}
	}
	return kept
}
