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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"math/big"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
)

var _ = Describe("the installation for some namespaces", Ordered, ContinueOnFailure, func() {
	var installed, watched manifests

	BeforeAll(func(ctx SpecContext) {
		err := k8s.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}})
		Expect(client.IgnoreAlreadyExists(err)).To(Succeed())
		installed, watched = rendered(ctx, "../config/namespaced"), rendered(ctx, "../config/namespaced/watched")
		DeferCleanup(func(ctx SpecContext) { installed.remove(ctx) })
		apply(ctx, "", "--kustomize", "../config/namespaced")
	})

	// letIn gives the operator the rights in a namespace, as an overlay would.
	letIn := func(ctx SpecContext, namespace string) {
		GinkgoHelper()
		var there manifests
		for _, original := range watched {
			object := original.DeepCopy()
			object.SetNamespace(namespace)
			Expect(k8s.Create(ctx, object.DeepCopy())).To(Succeed())
			there = append(there, object)
		}
		DeferCleanup(func(ctx SpecContext) { there.remove(ctx) })
	}

	It("has no rights in the cluster as a whole, and refers to nothing that is missing", func() {
		for _, object := range installed {
			Expect(object.GetKind()).NotTo(HavePrefix("Cluster"))
			Expect(object.GetNamespace()).To(Equal(systemNamespace))
		}
		Expect(granted(installed)).To(Equal([]string{
			"Role farpoint-manager-role: create events",
			"Role farpoint-manager-role: create,get,update configmaps",
			"Role farpoint-manager-role: create,get,update leases.coordination.k8s.io",
			"Role farpoint-watched: create events.events.k8s.io",
			"Role farpoint-watched: create,delete,get,list,update,watch endpoints",
			"Role farpoint-watched: create,delete,get,list,update,watch endpointslices.discovery.k8s.io",
			"Role farpoint-watched: create,delete,get,list,update,watch services",
			"Role farpoint-watched: get configmaps",
			"Role farpoint-watched: get secrets",
			"Role farpoint-watched: get,list,watch externalservices.farpoint.dev",
			"Role farpoint-watched: get,list,watch referencegrants.gateway.networking.k8s.io",
			"Role farpoint-watched: update externalservices.farpoint.dev/status",
		}))
		home := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": systemNamespace}}}
		Expect(unresolvedReferences(append(installed[:len(installed):len(installed)], home))).To(BeEmpty())
	})

	It("runs the operator with flags that it has, for the namespace that it is in", func() {
		container := deployment(installed).Spec.Template.Spec.Containers[0]
		options, flags := controllers.NewOptions(), flag.NewFlagSet("manager", flag.ContinueOnError)
		flags.SetOutput(GinkgoWriter)
		options.AddFlags(flags)
		Expect(container.Env).To(ContainElement(HaveField("ValueFrom.FieldRef.FieldPath", "metadata.namespace")))
		var arguments []string
		for _, argument := range container.Args { // as the kubelet does
			arguments = append(arguments, strings.ReplaceAll(argument, "$(POD_NAMESPACE)", systemNamespace))
		}
		Expect(flags.Parse(arguments)).To(Succeed())
		Expect(options.Validate()).To(Succeed())
		Expect(options.WatchNamespaces).To(Equal([]string{systemNamespace}))
		Expect(options.Egress.Denied).NotTo(BeEmpty())
		Expect(options.MetricsBindAddress).To(Equal("0"))
	})

	It("is enough for the operator's whole story there, and it looks nowhere else", func(ctx SpecContext) {
		here, there, elsewhere := newNamespace(ctx), newNamespace(ctx), newNamespace(ctx)
		letIn(ctx, here)
		letIn(ctx, there)
		withoutLease(ctx)
		authority := newAuthority()
		used := &usedRights{}
		metrics := freeAddress()
		running := startOperator(used.of(serviceAccountConfig()), func(options *controllers.Options) {
			options.LeaderElect, options.LeaderElectionNamespace = true, systemNamespace
			options.WatchNamespaces = []string{here, there}
			options.Egress.Denied = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
			options.MetricsBindAddress, options.MetricsClientCA = metrics, authority.file
		})
		first, second := newTLSBackend(), newTLSBackend()
		object := fromTemplate(externalService(here, "api", first.url(), second.url()))
		object.Spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{ServerName: "example.com", CASecretRef: &farpointv1.KeyReference{Name: "ca"}}
		object.Spec.PublishEndpoints = true
		create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: here, Name: "ca"}, StringData: map[string]string{"ca.crt": first.authority()}}, object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Expect(holder(ctx)).NotTo(BeEmpty())
		Eventually(legacy(ctx, here, "api")).Should(Equal("http 8080: 192.0.2.10 192.0.2.11"))

		By("a death, a recovery and edits")
		second.status.Store(http.StatusServiceUnavailable)
		Eventually(conditions(ctx, here, "api")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))
		second.status.Store(http.StatusOK)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Eventually(notes(ctx, object)).Should(ContainElement("Normal EndpointHealthy: Endpoint 192.0.2.11:8080 is healthy"))
		create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: here, Name: "ca"}, Data: map[string]string{"ca.crt": first.authority()}})
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.PublishEndpoints = false
			spec.ServiceTemplate.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
			spec.HealthCheck.TLS.CASecretRef, spec.HealthCheck.TLS.CAConfigMapRef = nil, &farpointv1.KeyReference{Name: "ca"}
		})
		Eventually(legacy(ctx, here, "api")).Should(Equal("none"))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))

		By("Services of other namespaces")
		installGrants(ctx)
		beyond := acrossNamespaces(here, elsewhere, "beyond", newBackend().url())
		create(ctx, grant(here, there), service(there, "shared"), acrossNamespaces(here, there, "shared", newBackend().url()))
		create(ctx, grant(here, elsewhere), service(elsewhere, "beyond"), beyond)
		Eventually(conditions(ctx, there, "shared")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))
		Eventually(condition(ctx, beyond, farpointv1.TargetServiceResolvedCondition)).Should(Equal("False " + farpointv1.RefNotPermittedReason))
		Expect(message(ctx, beyond, farpointv1.TargetServiceResolvedCondition)).To(ContainSubstring("which the operator does not watch"))

		By("ranges by flag, and nothing outside")
		refused := externalService(there, "refused", newBackend().url())
		refused.Spec.Endpoints[0].Address = "198.51.100.7"
		strange := externalService(elsewhere, "strange", newBackend().url())
		create(ctx, service(there, "refused"), refused, service(elsewhere, "strange"), strange)
		Eventually(condition(ctx, refused, farpointv1.EndpointsAcceptedCondition)).Should(Equal("False " + farpointv1.RefusedAddressReason))
		Expect(now(ctx, strange).Status.Conditions).To(BeEmpty())
		Expect(string(logged.Contents())).To(ContainSubstring("list these ranges in --denied-cidrs"))

		By("metrics for those with a certificate")
		Expect(authority.get(ctx, "https://"+metrics+"/metrics", true)).To(Equal(http.StatusOK))
		Expect(authority.get(ctx, "https://"+metrics+"/metrics", false)).To(BeZero())

		By("its end")
		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(func() error {
			return k8s.Get(ctx, client.ObjectKeyFromObject(object), &corev1.Service{})
		}).Should(Satisfy(apierrors.IsNotFound))
		running.stop()
		Expect(holder(ctx)).To(BeEmpty())
		Expect(used.refused()).To(BeEmpty())
		Expect(used.unused(installed)).To(BeEmpty(), "the roles grant what the story does not need")
	})
})

// authority signs certificates of clients.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	// file holds its certificate.
	file string
}

func newAuthority() *authority {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "monitoring"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	certificate, err := x509.ParseCertificate(der)
	Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(GinkgoT().TempDir(), "ca.crt")
	Expect(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)).To(Succeed())
	return &authority{key: key, certificate: certificate, file: file}
}

// get is the status of the answer to a client with or without a certificate; 0 if the
// connection fails.
func (a *authority) get(ctx SpecContext, url string, known bool) int {
	GinkgoHelper()
	settings := &tls.Config{InsecureSkipVerify: true} // the operator signs its certificate itself
	if known {
		template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "prometheus"}, NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, a.key.Public(), a.key)
		Expect(err).NotTo(HaveOccurred())
		settings.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}
	}
	transport := &http.Transport{TLSClientConfig: settings}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	Expect(err).NotTo(HaveOccurred())
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0
	}
	defer func() { Expect(response.Body.Close()).To(Succeed()) }()
	return response.StatusCode
}
