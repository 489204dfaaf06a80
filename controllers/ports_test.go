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
	"context"
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// portsOf maps the addresses of an object's endpoints to their ports.
func portsOf(ctx context.Context, object *farpointv1.ExternalService) func() map[string]string {
	return func() map[string]string {
		byAddress := map[string]string{}
		for _, slice := range slicesFor(ctx, object.Namespace, object.Name) {
			var words []string
			for _, port := range slice.Ports {
				words = append(words, strings.TrimSuffix(fmt.Sprintf("%s/%s:%d %s", *port.Name, *port.Protocol, *port.Port, ptr.Deref(port.AppProtocol, "")), " "))
			}
			slices.Sort(words)
			for _, endpoint := range slice.Endpoints {
				byAddress[endpoint.Addresses[0]] = strings.Join(words, ", ")
			}
		}
		return byAddress
	}
}

var _ = Describe("ports", func() {
	manyPorts := func(namespace, name string) *corev1.Service {
		target := service(namespace, name)
		target.Spec.Ports = []corev1.ServicePort{
			{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP},
			{Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP},
			{Name: "grpc", Port: 80, TargetPort: intstr.FromInt32(8080), AppProtocol: new("kubernetes.io/h2c")},
			{Name: "diameter", Port: 3868, Protocol: corev1.ProtocolSCTP},
		}
		return target
	}

	It("are the endpoint's, the object's or the Service's", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "many", backends.url("/a"), backends.url("/b"), backends.url("/c"))
		for i := range object.Spec.Endpoints {
			object.Spec.Endpoints[i].Port = nil
		}
		object.Spec.Availability.DrainPeriod = &metav1.Duration{} // what has other ports now is gone
		object.Spec.Endpoints[1].Ports = []farpointv1.EndpointPort{
			{Name: "dns", Port: 1053, Protocol: corev1.ProtocolUDP}, {Name: "grpc", Port: 9090, AppProtocol: new("example.com/own")},
		}
		target := manyPorts(namespace, "many")
		create(ctx, target, object)
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		const services = "diameter/SCTP:3868, dns-tcp/TCP:53, dns/UDP:53, grpc/TCP:8080 kubernetes.io/h2c"
		Expect(portsOf(ctx, object)()).To(Equal(map[string]string{
			"192.0.2.10": services, "192.0.2.11": "dns/UDP:1053, grpc/TCP:9090 example.com/own", "192.0.2.12": services,
		}))
		Expect(condition(ctx, object, farpointv1.PortsMatchedCondition)()).To(Equal("True Matched"))

		By("following the Service, with no endpoint missing in between")
		seen := watchSlices(ctx, namespace, "many", absentOf(conditions(ctx, namespace, "many")()))
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
		target.Spec.Ports[2].TargetPort, target.Spec.Ports[2].AppProtocol = intstr.FromInt32(8081), nil
		Expect(k8s.Update(ctx, target)).To(Succeed())
		const changed = "diameter/SCTP:3868, dns-tcp/TCP:53, dns/UDP:53, grpc/TCP:8081"
		Eventually(portsOf(ctx, object)).Should(HaveKeyWithValue("192.0.2.10", changed))
		Eventually(portsOf(ctx, object)).Should(HaveKeyWithValue("192.0.2.12", changed))
		seen.expectNoFaults(ctx)

		By("following the object")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Ports = []farpointv1.EndpointPort{{Name: "dns-tcp", Port: 5353}, {Name: "dns", Port: 5353, Protocol: corev1.ProtocolUDP}, {Name: "grpc", Port: 1}, {Name: "diameter", Port: 2, Protocol: corev1.ProtocolSCTP}}
		})
		Eventually(portsOf(ctx, object)).Should(Equal(map[string]string{
			"192.0.2.10": "diameter/SCTP:2, dns-tcp/TCP:5353, dns/UDP:5353, grpc/TCP:1",
			"192.0.2.11": "dns/UDP:1053, grpc/TCP:9090 example.com/own",
			"192.0.2.12": "diameter/SCTP:2, dns-tcp/TCP:5353, dns/UDP:5353, grpc/TCP:1",
		}))
		Eventually(column(ctx, object)).Should(Equal("3/3"))
	})

	It("that do not match the Service's are reported", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "mismatch", backends.url("/a"))
		object.Spec.Endpoints[0].Port = nil
		object.Spec.Ports = []farpointv1.EndpointPort{{Name: "dns", Port: 53}, {Name: "grpc", Port: 80}}
		target := manyPorts(namespace, "mismatch")
		target.Spec.Ports[3].TargetPort = intstr.FromString("diameter")
		create(ctx, target, object)
		matched := condition(ctx, object, farpointv1.PortsMatchedCondition)
		Eventually(matched).Should(Equal("False PortNotInService"))
		Expect(message(ctx, object, farpointv1.PortsMatchedCondition)).To(HavePrefix(`the Service has no port "dns"/TCP, only "diameter"/SCTP, "dns"/UDP, "dns-tcp"/TCP, "grpc"/TCP, so clients cannot reach it: `))
		Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("False PortNotInService"))

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Ports = []farpointv1.EndpointPort{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53}, {Name: "grpc", Port: 80}}
		})
		Eventually(matched).Should(Equal("False PortWithoutEndpoints"))
		Expect(message(ctx, object, farpointv1.PortsMatchedCondition)).To(HavePrefix(`no endpoint has the Service's port "diameter"/SCTP (its targetPort "diameter" is a name`))
		Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("True Published"))

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Ports = nil })
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Port = new(int32(53)) })
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal("False InvalidPort"))
		Expect(message(ctx, object, farpointv1.EndpointsAcceptedCondition)).To(ContainSubstring(`port is for a single port, but the Service has 4 ("dns", "dns-tcp", "grpc", "diameter"): set ports of this endpoint instead of port`))
	})
})
