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
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"farpoint.dev/farpoint/controllers/apiserver"
	"farpoint.dev/farpoint/controllers/conflicts"
)

// podSlices knows the slices that Kubernetes' own controller keeps for the Pods of single
// Services. They are most of a cluster's slices, which is why the manager's cache does not hold
// them. A Service with a selector has a watch of its own, if an ExternalService may publish for
// it; one without is checked when it has changed, and watched only if slices were left behind.
type podSlices struct {
	client client.WithWatch
	clock  clock.Clock

	// mu guards what follows. Nothing waits while holding it.
	mu sync.Mutex
	// run is the context of all watches. The askers are added to queue when the answer changes.
	run   context.Context
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	// questions are what each ExternalService asked about last.
	questions map[types.NamespacedName]question
	// followed are the Services with a watch.
	followed map[types.NamespacedName]followedService
}

type question struct {
	service types.NamespacedName
	// clean is the version of the Service for which there were no slices.
	clean string
}

type followedService struct {
	slices *apiserver.WatchedList
	stop   context.CancelFunc
}

func newPodSlices(from client.WithWatch, clock clock.Clock) *podSlices {
	return &podSlices{client: from, clock: clock, questions: map[types.NamespacedName]question{}, followed: map[types.NamespacedName]followedService{}}
}

// start is called once, when the controller starts.
func (p *podSlices) start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run, p.queue = ctx, queue
	return nil
}

// of returns the slices of Pods of the Service that may be in the asker's way, and whether they
// are known yet. The asker is requeued when that changes. Nothing is read if the asker has asked
// before, and neither the Service nor the slices have changed since.
func (p *podSlices) of(ctx context.Context, asker types.NamespacedName, service *corev1.Service) (slices []*discoveryv1.EndpointSlice, known bool, err error) {
	key, version := client.ObjectKeyFromObject(service), string(service.UID)+"/"+service.ResourceVersion
	followed, clean := p.ask(asker, key, version)
	if followed == nil && len(service.Spec.Selector) == 0 {
		if !clean {
			clean, err = p.isClean(ctx, key)
		}
		if clean {
			p.markClean(asker, key, version)
		}
		if clean || err != nil {
			return nil, err == nil, err
		}
	}
	if followed == nil {
		followed = p.follow(key) //nolint:contextcheck // the watch outlives this call
	}
	objects, state := followed.All(key.Namespace)
	if state == apiserver.Present && len(objects) == 0 && len(service.Spec.Selector) == 0 {
		p.markClean(asker, key, version) // the slices that were left behind are gone
	}
	for _, object := range objects {
		slices = append(slices, object.(*discoveryv1.EndpointSlice))
	}
	return slices, state == apiserver.Present, nil
}

// forget is called when the asker has no Service any more.
func (p *podSlices) forget(asker types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.questions[asker]
	delete(p.questions, asker)
	p.unfollow(before.service)
}

// ask notes which Service the asker is interested in, and returns what is known already.
func (p *podSlices) ask(asker, service types.NamespacedName, version string) (followed *apiserver.WatchedList, clean bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.questions[asker]
	if clean = before == (question{service: service, clean: version}); !clean {
		p.questions[asker] = question{service: service} // it waits for the answer
	}
	if before.service != service {
		p.unfollow(before.service)
	}
	return p.followed[service].slices, clean
}

// markClean notes that there is nothing to watch.
func (p *podSlices) markClean(asker, service types.NamespacedName, version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.questions[asker] = question{service: service, clean: version}
	p.unfollow(service)
}

// unfollow stops the watch of a Service that no asker needs any more. It is called with mu held.
func (p *podSlices) unfollow(service types.NamespacedName) {
	followed, ok := p.followed[service]
	if !ok {
		return
	}
	for _, q := range p.questions {
		if q.service == service && q.clean == "" {
			return
		}
	}
	followed.stop()
	delete(p.followed, service)
}

// isClean asks the API server whether there are no such slices.
func (p *podSlices) isClean(ctx context.Context, service types.NamespacedName) (bool, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(discoveryv1.SchemeGroupVersion.WithKind("EndpointSliceList"))
	if err := p.client.List(ctx, list, append(podSlicesOf(service), client.Limit(1))...); err != nil {
		return false, fmt.Errorf("list EndpointSlices of the Pods of Service %s: %w", service, err)
	}
	return len(list.Items) == 0, nil
}

// follow starts a watch, unless there is one.
func (p *podSlices) follow(service types.NamespacedName) *apiserver.WatchedList {
	p.mu.Lock()
	defer p.mu.Unlock()
	if present, ok := p.followed[service]; ok {
		return present.slices
	}
	slices := apiserver.NewWatchedList(membersOf, func(string) { p.requeueAskers(service) })
	ctx, stop := context.WithCancel(p.run)
	kind := apiserver.Kind{Object: &discoveryv1.EndpointSlice{}, List: &discoveryv1.EndpointSliceList{}}
	go slices.Follow(ctx, p.client, p.clock, []apiserver.Kind{kind}, podSlicesOf(service)...)
	p.followed[service] = followedService{slices: slices, stop: stop}
	return slices
}

// requeueAskers requeues the ExternalServices that asked about the Service.
func (p *podSlices) requeueAskers(service types.NamespacedName) {
	p.mu.Lock()
	var askers []reconcile.Request
	for asker, question := range p.questions {
		if question.service == service {
			askers = append(askers, reconcile.Request{NamespacedName: asker})
		}
	}
	p.mu.Unlock()
	for _, asker := range askers {
		p.queue.Add(asker)
	}
}

func podSlicesOf(service types.NamespacedName) []client.ListOption {
	return []client.ListOption{
		client.InNamespace(service.Namespace),
		client.MatchingLabels{discoveryv1.LabelServiceName: service.Name, discoveryv1.LabelManagedBy: conflicts.PodSliceManager},
	}
}

// membersOf returns what conflicts are found by: a slice's name, addresses and ports. It leaves
// out whether a Pod is ready, so that flips requeue nothing.
func membersOf(object any) client.Object {
	slice := object.(*discoveryv1.EndpointSlice)
	members := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: slice.Name, Namespace: slice.Namespace,
			Labels: map[string]string{discoveryv1.LabelManagedBy: slice.Labels[discoveryv1.LabelManagedBy]},
		},
		Ports: slice.Ports,
	}
	for i := range slice.Endpoints {
		members.Endpoints = append(members.Endpoints, discoveryv1.Endpoint{Addresses: slice.Endpoints[i].Addresses})
	}
	return members
}
