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
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/test/fixtures"
)

// The API server takes updates in a namespace that is being deleted, and no creations.
func TestApply_NamespaceIsBeingDeleted_EndpointsStayInTheirSlices(t *testing.T) {
	deleted := false
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if !deleted {
				return c.Create(ctx, object, options...)
			}
			err := apierrors.NewForbidden(schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}, object.GetName(), nil)
			err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace"}}
			return err
		},
	}).Build()
	applier, wants := applierOn(c), fixtures.Wants(fixtures.Numbered(8))
	if err := applier.apply(t.Context(), wants.Owner, sliceplan.Make(wants, nil)); err != nil {
		t.Fatal(err)
	}
	wants.Owner.Spec.EndpointSlices = &farpointv1.EndpointSliceOptions{GroupBy: farpointv1.GroupByZone}
	wants.Endpoints[7].Spec = &farpointv1.Endpoint{Zone: "a"}
	deleted = true
	present := written(t, c)
	done := applier.slicesApplier.apply(t.Context(), wants.Owner, present, sliceplan.Make(wants, present))
	if done.err() != nil || !done.withheld {
		t.Errorf("error %v, withheld %v, want slices that are withheld and no error", done.err(), done.withheld)
	}
	if left := written(t, c); len(left) != 1 || len(left[0].Endpoints) != 8 {
		t.Errorf("there are %v, want the slice with all endpoints", left)
	}
}
