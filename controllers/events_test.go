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

package controllers_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var _ = Describe("Events", func() {
	It("are written beside the slices, which do not wait for them", func(ctx SpecContext) {
		const objects, takes = 40, time.Second
		var slow atomic.Bool
		config := rest.CopyConfig(adminConfig)
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(request *http.Request) (*http.Response, error) {
				if slow.Load() && request.Method == http.MethodPost && strings.HasSuffix(request.URL.Path, "/events") {
					select {
					case <-time.After(takes):
					case <-request.Context().Done():
						return nil, request.Context().Err()
					}
				}
				return next.RoundTrip(request)
			})
		})
		startOperator(config)
		namespace, backends := newNamespace(ctx), newSite()
		for i := range objects {
			name := fmt.Sprint("many-", i)
			create(ctx, service(namespace, name), externalService(namespace, name, backends.url("/")))
		}
		ready := func() int {
			list, ready := &discoveryv1.EndpointSliceList{}, 0
			Expect(k8s.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
			for _, slice := range list.Items {
				if *slice.Endpoints[0].Conditions.Ready {
					ready++
				}
			}
			return ready
		}
		Eventually(ready, "60s").Should(Equal(objects))
		slow.Store(true)
		start := time.Now()
		backends.down.Store("/", true)
		Eventually(ready, "60s").Should(BeZero())
		took := time.Since(start)
		AddReportEntry("all endpoints were taken out after", took)
		// Two Events each, written by four workers.
		Expect(took).To(BeNumerically("<", objects*2/4*takes/2))
		slow.Store(false)
		last := &farpointv1.ExternalService{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "many-0"}}
		Eventually(notes(ctx, last), "60s").Should(ContainElement(HavePrefix("Warning EndpointUnhealthy")))
	})

	It("are few when hundreds of endpoints die and come back together, and say how many and which", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		const many = 500
		object := externalService(namespace, "large")
		object.Spec.HealthCheckInterval.Duration = 2 * time.Second
		for i := range many {
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
				Address: fmt.Sprintf("198.18.%d.%d", i/250, 1+i%250), Port: new(int32(80)), HealthCheckURL: backends.url(fmt.Sprint("/", i)),
			})
		}
		create(ctx, service(namespace, "large"), object)
		Eventually(column(ctx, object), "60s").Should(Equal("500/500"))
		atFirst := notes(ctx, object)()
		Expect(len(atFirst)).To(BeNumerically("<", 20), "%s", strings.Join(atFirst, "\n"))

		for i := range many {
			backends.down.Store(fmt.Sprint("/", i), true)
		}
		Eventually(column(ctx, object), "60s").Should(Equal("0/500"))
		Eventually(counted(ctx, object, "EndpointUnhealthy", "unhealthy")).Should(Equal(many))
		for i := range many {
			backends.down.Delete(fmt.Sprint("/", i))
		}
		Eventually(column(ctx, object), "60s").Should(Equal("500/500"))
		added := notes(ctx, object)()[len(atFirst):]
		// Each kind of change comes in one batch after the other, of which the
		// smallest name up to 10 endpoints one by one.
		Expect(len(added)).To(BeNumerically("<", many/5), "for a thousand changes:\n%s", strings.Join(added, "\n"))
		Expect(added).To(ContainElement(MatchRegexp(`^Warning EndpointUnhealthy: \d{2,3} endpoints are unhealthy: 198\.18\.[01]\.\d+:80(, 198\.18\.[01]\.\d+:80){9} and others$`)))
	})
})

// counted is how many endpoints Events with this reason are about.
func counted(ctx SpecContext, object *farpointv1.ExternalService, reason, word string) func() int {
	pattern := regexp.MustCompile(reason + `: (\d+) endpoints are ` + word)
	return func() int {
		sum := 0
		for _, note := range notes(ctx, object)() {
			if match := pattern.FindStringSubmatch(note); match != nil {
				number, err := strconv.Atoi(match[1])
				Expect(err).NotTo(HaveOccurred())
				sum += number
			} else if strings.Contains(note, reason+": Endpoint ") {
				sum++
			}
		}
		return sum
	}
}
