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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// referenceGrants is the CRD as the Gateway API releases it.
func referenceGrants(ctx context.Context) *apiextensionsv1.CustomResourceDefinition {
	GinkgoHelper()
	folder, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	Expect(err).NotTo(HaveOccurred())
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(folder)), "config/crd/standard/gateway.networking.k8s.io_referencegrants.yaml"))
	Expect(err).NotTo(HaveOccurred())
	definition := &apiextensionsv1.CustomResourceDefinition{}
	Expect(yaml.UnmarshalStrict(text, definition)).To(Succeed())
	return definition
}

// installGrants installs the CRD until the spec's end, with the versions that are served. Without
// versions, all are served.
func installGrants(ctx context.Context, versions ...string) {
	GinkgoHelper()
	definition := referenceGrants(ctx)
	for i := range definition.Spec.Versions {
		version := &definition.Spec.Versions[i]
		version.Served = len(versions) == 0
		for _, served := range versions {
			version.Served = version.Served || version.Name == served
		}
	}
	Expect(k8s.Create(ctx, definition)).To(Succeed())
	DeferCleanup(uninstallGrants)
	Eventually(func() string {
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(definition), definition)).To(Succeed())
		for _, condition := range definition.Status.Conditions {
			if condition.Type == apiextensionsv1.Established {
				return string(condition.Status)
			}
		}
		return ""
	}).Should(Equal("True"))
}

func uninstallGrants(ctx context.Context) {
	GinkgoHelper()
	definition := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "referencegrants.gateway.networking.k8s.io"}}
	Expect(client.IgnoreNotFound(k8s.Delete(ctx, definition))).To(Succeed())
	Eventually(func() bool {
		return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(definition), definition))
	}).Should(BeTrue())
}

// grant lets ExternalServices of one namespace refer to Services of another.
func grant(from, to string) *gatewayv1beta1.ReferenceGrant {
	return &gatewayv1beta1.ReferenceGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: to, Name: "from-" + from},
		Spec: gatewayv1.ReferenceGrantSpec{
			From: []gatewayv1.ReferenceGrantFrom{{Group: "farpoint.dev", Kind: "ExternalService", Namespace: gatewayv1.Namespace(from)}},
			To:   []gatewayv1.ReferenceGrantTo{{Kind: "Service"}},
		},
	}
}

// acrossNamespaces is an ExternalService whose Service is in another namespace.
func acrossNamespaces(from, to, name string, urls ...farpointv1.HealthCheckURL) *farpointv1.ExternalService {
	object := externalService(from, name, urls...)
	object.Spec.TargetService = &farpointv1.TargetServiceReference{Namespace: to}
	return object
}

var _ = Describe("a Service of another namespace", func() {
	published := map[string]string{"192.0.2.10": "TTF"}

	It("is fronted while a ReferenceGrant is there that allows it", func(ctx SpecContext) {
		startOperator(adminConfig)
		here, there, backends := newNamespace(ctx), newNamespace(ctx), newSite()
		object := acrossNamespaces(here, there, "shared", backends.url("/"))
		create(ctx, service(there, "shared"), object)
		Eventually(condition(ctx, object, farpointv1.ReconcilingCondition)).Should(Equal("True ReferenceGrantNotInstalled"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(ContainSubstring("install the Gateway API"))

		By("the kind being installed meanwhile")
		installGrants(ctx)
		Eventually(condition(ctx, object, farpointv1.ReconcilingCondition)).Should(Equal("True RefNotPermitted"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(HaveSuffix(
			`create one in namespace ` + there + `, from group farpoint.dev, kind ExternalService, namespace ` + here + `, to group "", kind Service, name shared`))
		Expect(slicesFor(ctx, there, "shared")).To(BeEmpty())

		By("a grant")
		allowed := grant(here, there)
		create(ctx, allowed)
		Eventually(conditions(ctx, there, "shared")).Should(Equal(published))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		Expect(condition(ctx, object, farpointv1.NoConflictsCondition)()).To(Equal("True NoConflicts"))
		Expect(now(ctx, object).Status.TargetService).To(Equal(there + "/shared"))
		target := &corev1.Service{}
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: there, Name: "shared"}, target)).To(Succeed())
		slice := slicesFor(ctx, there, "shared")[0]
		Expect(slice.Labels).To(HaveKeyWithValue("farpoint.dev/externalservice", "shared"))
		Expect(slice.Labels).To(HaveKeyWithValue("farpoint.dev/externalservice-namespace", here))
		Expect(slice.OwnerReferences).To(ConsistOf(metav1.OwnerReference{APIVersion: "v1", Kind: "Service", Name: "shared", UID: target.UID}))

		By("mirroring a death and a recovery")
		backends.down.Store("/", true)
		Eventually(conditions(ctx, there, "shared")).Should(Equal(map[string]string{"192.0.2.10": "FFF"}))
		backends.down.Delete("/")
		Eventually(conditions(ctx, there, "shared")).Should(Equal(published))

		By("the grant being changed for another namespace")
		allowed.Spec.From[0].Namespace = "elsewhere"
		Expect(k8s.Update(ctx, allowed)).To(Succeed())
		Eventually(conditions(ctx, there, "shared")).Should(BeEmpty())
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False RefNotPermitted"))
		allowed.Spec.From[0].Namespace = gatewayv1.Namespace(here)
		Expect(k8s.Update(ctx, allowed)).To(Succeed())
		Eventually(conditions(ctx, there, "shared")).Should(Equal(published))

		By("the grant being revoked while the object is suspended")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Suspend = true })
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Suspended"))
		Expect(conditions(ctx, there, "shared")()).To(Equal(published))
		Expect(k8s.Delete(ctx, allowed)).To(Succeed())
		Eventually(conditions(ctx, there, "shared")).Should(BeEmpty())
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False RefNotPermitted"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Suspend = false })

		By("the kind going, and coming back")
		create(ctx, grant(here, there))
		Eventually(conditions(ctx, there, "shared")).Should(Equal(published))
		uninstallGrants(ctx)
		Eventually(conditions(ctx, there, "shared")).Should(BeEmpty())
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False ReferenceGrantNotInstalled"))
		installGrants(ctx)
		create(ctx, grant(here, there))
		Eventually(conditions(ctx, there, "shared")).Should(Equal(published))

		By("a suspended object targeting its own namespace")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Suspend, spec.TargetService = true, nil })
		Eventually(conditions(ctx, there, "shared")).Should(BeEmpty(), "no grant that is revoked would reach it there")
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Suspended"))

		By("its end")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Suspend, spec.TargetService = false, &farpointv1.TargetServiceReference{Namespace: there}
		})
		Eventually(conditions(ctx, there, "shared")).Should(Equal(published))
		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(conditions(ctx, there, "shared")).Should(BeEmpty())
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed(), "the Service stays")
	})

	DescribeTable("is fronted with whatever version of grants is served",
		func(ctx SpecContext, version string) {
			installGrants(ctx, version)
			startOperator(adminConfig)
			here, there, backends := newNamespace(ctx), newNamespace(ctx), newSite()
			var allowed client.Object = grant(here, there)
			if version == "v1" {
				allowed = (*gatewayv1.ReferenceGrant)(grant(here, there))
			}
			object := acrossNamespaces(here, there, "old", backends.url("/"))
			create(ctx, allowed, service(there, "old"), object)
			Eventually(conditions(ctx, there, "old")).Should(Equal(published))
			Expect(k8s.Delete(ctx, allowed)).To(Succeed())
			Eventually(conditions(ctx, there, "old")).Should(BeEmpty())
		},
		Entry("of older Gateway APIs", "v1beta1"),
		Entry("of later ones", "v1"),
	)

	It("has slices of several objects with the same name, each by itself", func(ctx SpecContext) {
		installGrants(ctx)
		startOperator(adminConfig)
		one, two, there, backends := newNamespace(ctx), newNamespace(ctx), newNamespace(ctx), newSite()
		first, second, local := acrossNamespaces(one, there, "shared", backends.url("/")), acrossNamespaces(two, there, "shared", backends.url("/")), externalService(there, "shared", backends.url("/"))
		second.Spec.Endpoints[0].Address = "192.0.2.11"
		local.Spec.Endpoints[0].Address = "192.0.2.12"
		create(ctx, grant(one, there), grant(two, there), service(there, "shared"), first, second, local)
		Eventually(conditions(ctx, there, "shared")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF", "192.0.2.12": "TTF"}))
		Expect(slicesFor(ctx, there, "shared")).To(HaveLen(3))

		edit(ctx, second, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Address = "192.0.2.10" })
		for _, object := range []*farpointv1.ExternalService{first, second} {
			Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("False SharedEndpoint"))
		}
		Expect(message(ctx, first, farpointv1.NoConflictsCondition)).To(HavePrefix("192.0.2.10:8080 is also in ExternalService " + two + "/shared: "))
		Expect(condition(ctx, local, farpointv1.NoConflictsCondition)()).To(Equal("True NoConflicts"))

		Expect(k8s.Delete(ctx, second)).To(Succeed())
		Eventually(condition(ctx, first, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))
		Eventually(conditions(ctx, there, "shared")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.12": "TTF"}))
		Expect(k8s.Delete(ctx, local)).To(Succeed())
		Eventually(conditions(ctx, there, "shared")).Should(Equal(published))
	})

	It("loses its slices, and no others, if the object was deleted while no operator ran", func(ctx SpecContext) {
		installGrants(ctx)
		first := startOperator(adminConfig)
		here, there, backends := newNamespace(ctx), newNamespace(ctx), newSite()
		gone, stays := acrossNamespaces(here, there, "gone", backends.url("/")), acrossNamespaces(here, there, "stays", backends.url("/"))
		create(ctx, grant(here, there), service(there, "gone"), service(there, "stays"), gone, stays)
		Eventually(conditions(ctx, there, "gone")).Should(Equal(published))
		Eventually(conditions(ctx, there, "stays")).Should(Equal(published))
		Eventually(column(ctx, stays)).Should(Equal("1/1"))
		before := versions(ctx, there, "stays")
		first.stop()
		Expect(k8s.Delete(ctx, gone)).To(Succeed())

		// Its interval outlasts the test, so that the second operator knows the slices and nothing
		// more.
		edit(ctx, stays, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheckInterval = &metav1.Duration{Duration: time.Hour}
		})
		second := startOperator(adminConfig)
		Eventually(conditions(ctx, there, "gone")).Should(BeEmpty())
		Eventually(func() int64 { return now(ctx, stays).Status.ObservedGeneration }).Should(Equal(now(ctx, stays).Generation))
		Expect(versions(ctx, there, "stays")).To(Equal(before))
		Expect(second.writes.Load()).To(BeEquivalentTo(2), "the slice that goes, and the status of what was edited")
	})

	It("has its slices back however often it is replaced", func(ctx SpecContext) {
		installGrants(ctx)
		startOperator(adminConfig)
		here, there, backends := newNamespace(ctx), newNamespace(ctx), newSite()
		object := acrossNamespaces(here, there, "replaced", backends.url("/"))
		create(ctx, grant(here, there), service(there, "replaced"), object)
		Eventually(conditions(ctx, there, "replaced")).Should(Equal(published))
		target := service(there, "replaced")
		for range 100 {
			Expect(k8s.Delete(ctx, target)).To(Succeed())
			target = service(there, "replaced")
			create(ctx, target)
		}
		Eventually(func(g Gomega) {
			slices := slicesFor(ctx, there, "replaced")
			g.Expect(slices).To(HaveLen(1))
			g.Expect(slices[0].OwnerReferences).To(ConsistOf(HaveField("UID", target.UID)), "or the garbage collector takes it")
			g.Expect(conditions(ctx, there, "replaced")()).To(Equal(published))
		}).Should(Succeed())
	})

	It("may be exchanged for one of its own namespace, and the other way round", func(ctx SpecContext) {
		installGrants(ctx)
		startOperator(adminConfig)
		here, there, backends := newNamespace(ctx), newNamespace(ctx), newSite()
		object := externalService(here, "moving", backends.url("/"))
		object.Spec.ServiceTemplate = &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Name: "http", Port: 80}}}}
		create(ctx, grant(here, there), service(there, "moving"), object)
		Eventually(conditions(ctx, here, "moving")).Should(Equal(published))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.TargetService, spec.ServiceTemplate = &farpointv1.TargetServiceReference{Namespace: there}, nil
		})
		Eventually(conditions(ctx, there, "moving")).Should(Equal(published))
		Eventually(conditions(ctx, here, "moving")).Should(BeEmpty())
		Eventually(func() error {
			return k8s.Get(ctx, client.ObjectKey{Namespace: here, Name: "moving"}, &corev1.Service{})
		}).Should(Satisfy(apierrors.IsNotFound), "it was created for the object, and is not its target any more")

		create(ctx, service(here, "moving"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.TargetService = nil })
		Eventually(conditions(ctx, here, "moving")).Should(Equal(published))
		Eventually(conditions(ctx, there, "moving")).Should(BeEmpty())
		Expect(slicesFor(ctx, here, "moving")[0].Labels).NotTo(HaveKey("farpoint.dev/externalservice-namespace"))
		Expect(slicesFor(ctx, here, "moving")[0].OwnerReferences).To(ConsistOf(HaveField("Kind", "ExternalService")))
	})

	It("has its slices repaired", func(ctx SpecContext) {
		installGrants(ctx)
		startOperator(adminConfig)
		here, there, backends := newNamespace(ctx), newNamespace(ctx), newSite()
		create(ctx, grant(here, there), service(there, "drift"), acrossNamespaces(here, there, "drift", backends.url("/")))
		Eventually(conditions(ctx, there, "drift")).Should(Equal(published))
		sound := slicesFor(ctx, there, "drift")[0]
		for name, damage := range map[string]func(*discoveryv1.EndpointSlice){
			"the owner's namespace": func(s *discoveryv1.EndpointSlice) { delete(s.Labels, "farpoint.dev/externalservice-namespace") },
			"another namespace":     func(s *discoveryv1.EndpointSlice) { s.Labels["farpoint.dev/externalservice-namespace"] = there },
			"all labels":            func(s *discoveryv1.EndpointSlice) { s.Labels = nil },
			"the reference":         func(s *discoveryv1.EndpointSlice) { s.OwnerReferences = nil },
			"endpoints":             func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil },
		} {
			By(name)
			slice := slicesFor(ctx, there, "drift")[0]
			damage(&slice)
			Expect(k8s.Update(ctx, &slice)).To(Succeed())
			Eventually(func(g Gomega) {
				slices := slicesFor(ctx, there, "drift")
				g.Expect(slices).To(HaveLen(1))
				g.Expect(slices[0].Labels).To(Equal(sound.Labels))
				g.Expect(slices[0].OwnerReferences).To(Equal(sound.OwnerReferences))
				g.Expect(conditions(ctx, there, "drift")()).To(Equal(published))
			}).Should(Succeed())
		}
	})
})
