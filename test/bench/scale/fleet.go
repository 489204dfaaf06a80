//go:build linux

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

package scale

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/bench/targets"
)

// fleet is a crowd of ExternalServices, each with ten endpoints that are probed on the
// loopback.
type fleet struct {
	places  targets.Places
	scheme  string
	objects int
	// quick is how many of the first objects are probed every half second, the others
	// every five seconds.
	quick int
}

func (f fleet) endpoints() int { return f.objects * targets.PerOwner }

// published is the address that the slices hold: loopback addresses are refused there.
func published(index int) string {
	return fmt.Sprintf("172.%d.%d.%d", 17+index>>16, index>>8&0xff, index&0xff)
}

// create makes all objects and their Services.
func (f fleet) create(ctx context.Context, in client.Client) error {
	return inParallel(f.objects, 16, func(number int) error { return f.createOne(ctx, in, number) })
}

// inParallel does something for each number, by so many goroutines.
func inParallel(count, writers int, do func(number int) error) error {
	numbers, failures := make(chan int), make(chan error, writers)
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			var failure error
			for number := range numbers {
				if failure == nil {
					failure = do(number)
				}
			}
			failures <- failure
		})
	}
	for number := range count {
		numbers <- number
	}
	close(numbers)
	all.Wait()
	for range writers {
		if err := <-failures; err != nil {
			return err
		}
	}
	return nil
}

func (f fleet) createOne(ctx context.Context, in client.Client, number int) error {
	name := metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("bench-%d", number)}
	service := &corev1.Service{ObjectMeta: name, Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, // there are more Services than addresses for them
		Ports:     []corev1.ServicePort{{Name: "main", Port: 8080}},
	}}
	if err := in.Create(ctx, service); err != nil {
		return err
	}
	object := &farpointv1.ExternalService{ObjectMeta: name, Spec: farpointv1.ExternalServiceSpec{
		HealthCheckInterval: &metav1.Duration{Duration: f.interval(number)},
		// A single probe decides, so that it is known which one did.
		HealthCheck: farpointv1.HealthCheck{FailureThreshold: 1, SuccessThreshold: 1},
	}}
	for index := number * targets.PerOwner; index < (number+1)*targets.PerOwner; index++ {
		object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
			Address: published(index), HealthCheckURL: farpointv1.HealthCheckURL(f.places.URL(f.scheme, index)),
		})
	}
	return in.Create(ctx, object)
}

func (f fleet) interval(number int) time.Duration {
	if number < f.quick {
		return 500 * time.Millisecond
	}
	return 5 * time.Second
}
