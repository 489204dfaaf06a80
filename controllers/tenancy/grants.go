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

package tenancy

import (
	"context"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/apiserver"
	"farpoint.dev/farpoint/controllers/ownership"
)

// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=referencegrants,verbs=get;list;watch

// Grants knows which ExternalServices may front Services of other namespaces. The Gateway API's
// ReferenceGrants, in the Service's namespace, say so. They are watched once an ExternalService
// needs them, since most clusters have no need of them here, and some lack the kind.
type Grants struct {
	client client.WithWatch
	clock  clock.Clock
	// requests names the ExternalServices of other namespaces whose Service is in this one; in
	// any other namespace if it is empty.
	requests func(ctx context.Context, namespace string) []reconcile.Request
	// namespaces are the only ones where grants may be read; empty means all.
	namespaces []string

	// mu guards what follows. Nothing waits while holding it.
	mu sync.Mutex
	// run is the context of the watch. ExternalServices are added to queue when the answer
	// changes.
	run   context.Context
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	// lists are by namespace, or one for all of them, under "".
	lists map[string]*apiserver.WatchedList
}

// NewGrants returns grants that watch nothing until they are needed. Without namespaces, grants
// of all namespaces are read.
func NewGrants(from client.WithWatch, clock clock.Clock, namespaces []string, requests func(ctx context.Context, namespace string) []reconcile.Request) *Grants {
	return &Grants{client: from, requests: requests, clock: clock, namespaces: namespaces, lists: map[string]*apiserver.WatchedList{}}
}

// Refusal says why a Service may not be referred to.
type Refusal struct {
	// Reason and message are those of the condition TargetServiceResolved.
	Reason, Message string
	// Awaited: it may end without an edit of the ExternalService.
	Awaited bool
}

// grantKinds are the versions that ReferenceGrants come in, the one that will stay first.
var grantKinds = []apiserver.Kind{
	{Object: &gatewayv1.ReferenceGrant{}, List: &gatewayv1.ReferenceGrantList{}},
	{Object: &gatewayv1beta1.ReferenceGrant{}, List: &gatewayv1beta1.ReferenceGrantList{}},
}

// Start is called once, when the controller starts.
func (g *Grants) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.run, g.queue = ctx, queue
	return nil
}

// Refusal says why ExternalServices of a namespace may not front a Service of another
// one; nil if they may. It is not known until the API server has answered: the
// ExternalServices are requeued then.
func (g *Grants) Refusal(from string, to types.NamespacedName) (refused *Refusal, known bool) {
	if len(g.namespaces) > 0 && !slices.Contains(g.namespaces, to.Namespace) {
		return &Refusal{
			Reason:  farpointv1.RefNotPermittedReason,
			Message: fmt.Sprintf("Service %s is in another namespace, which the operator does not watch: add the namespace to --watch-namespaces, or create the ExternalService there, with an operator that watches it", to),
		}, true
	}
	objects, state := g.follow(to.Namespace).All(to.Namespace)
	switch state {
	case apiserver.Unknown:
		return nil, false
	case apiserver.Absent:
		return &Refusal{
			Reason:  farpointv1.ReferenceGrantNotInstalledReason,
			Message: fmt.Sprintf("Service %s is in another namespace, which must allow that with a ReferenceGrant, a kind that this cluster lacks: install the Gateway API (gateway.networking.k8s.io), or create the ExternalService in namespace %s", to, to.Namespace),
			Awaited: true,
		}, true
	}
	permits := func(object client.Object) bool {
		return permits(&object.(*gatewayv1.ReferenceGrant).Spec, from, to.Name)
	}
	if slices.ContainsFunc(objects, permits) {
		return nil, true
	}
	return &Refusal{
		Reason:  farpointv1.RefNotPermittedReason,
		Message: fmt.Sprintf("Service %s is in another namespace, where no ReferenceGrant allows that: create one in namespace %s, from group %s, kind %s, namespace %s, to group \"\", kind Service, name %s", to, to.Namespace, farpointv1.GroupVersion.Group, ownership.Kind, from, to.Name),
		Awaited: true,
	}, true
}

// permits reports whether a grant lets ExternalServices of a namespace refer to a Service
// of its own.
func permits(grant *gatewayv1.ReferenceGrantSpec, namespace, service string) bool {
	return slices.ContainsFunc(grant.From, func(from gatewayv1.ReferenceGrantFrom) bool {
		return string(from.Group) == farpointv1.GroupVersion.Group && from.Kind == ownership.Kind && string(from.Namespace) == namespace
	}) && slices.ContainsFunc(grant.To, func(to gatewayv1.ReferenceGrantTo) bool {
		return to.Group == "" && to.Kind == "Service" && (to.Name == nil || *to.Name == "" || string(*to.Name) == service)
	})
}

// follow returns the list that has the grants of a namespace. The first call starts its watch.
func (g *Grants) follow(namespace string) *apiserver.WatchedList {
	var options []client.ListOption
	if len(g.namespaces) > 0 {
		options = append(options, client.InNamespace(namespace))
	} else {
		namespace = ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	list, ok := g.lists[namespace]
	if !ok {
		list = apiserver.NewWatchedList(grantOf, g.changed)
		g.lists[namespace] = list
		go list.Follow(g.run, g.client, g.clock, grantKinds, options...)
	}
	return list
}

// changed requeues the ExternalServices of other namespaces whose Service is in this one.
func (g *Grants) changed(namespace string) {
	for _, request := range g.requests(g.run, namespace) {
		g.queue.Add(request)
	}
}

// grantOf returns the fields that matter of a grant of any version.
func grantOf(object any) client.Object {
	grant, ok := object.(*gatewayv1.ReferenceGrant)
	if !ok {
		grant = (*gatewayv1.ReferenceGrant)(object.(*gatewayv1beta1.ReferenceGrant))
	}
	return &gatewayv1.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Name: grant.Name, Namespace: grant.Namespace}, Spec: grant.Spec}
}
