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
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
)

const (
	// systemNamespace is where config/default installs the operator.
	systemNamespace = "farpoint-system"
	// account is the ServiceAccount that it runs with there.
	account = "farpoint-controller-manager"
)

var _ = Describe("the installation", Ordered, ContinueOnFailure, func() {
	var installed manifests

	BeforeAll(func(ctx SpecContext) {
		installed = rendered(ctx, "../config/default")
		DeferCleanup(func(ctx SpecContext) { installed.remove(ctx) })
		apply(ctx, "", "--kustomize", "../config/default")
	})

	It("is accepted whole", func(ctx SpecContext) {
		kinds := map[string]int{}
		for _, object := range installed {
			present := &unstructured.Unstructured{}
			present.SetGroupVersionKind(object.GroupVersionKind())
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), present)).To(Succeed())
			kinds[object.GetKind()]++
		}
		Expect(kinds).To(Equal(map[string]int{
			"Namespace": 1, "CustomResourceDefinition": 2, "Deployment": 1, "Service": 1, "ServiceAccount": 1,
			"ClusterRole": 8, "ClusterRoleBinding": 1, "Role": 1, "RoleBinding": 1,
			"PodDisruptionBudget": 1, "NetworkPolicy": 1,
		}))
	})

	It("refers to nothing that is missing", func(ctx SpecContext) {
		Expect(unresolvedReferences(installed)).To(BeEmpty())
		Expect(unresolvedReferences(append(rendered(ctx, "../config/prometheus"), installed...))).To(BeEmpty())
	})

	It("runs the operator with flags and ports that it has", func() {
		container := deployment(installed).Spec.Template.Spec.Containers[0]
		options, flags := controllers.NewOptions(), flag.NewFlagSet("manager", flag.ContinueOnError)
		flags.SetOutput(GinkgoWriter)
		options.AddFlags(flags)
		Expect(flags.Parse(container.Args)).To(Succeed())
		Expect(options.Validate()).To(Succeed())
		Expect(options.LeaderElect).To(BeTrue())
		Expect(options.PprofBindAddress).To(BeEmpty(), "profiles are for nobody unless asked for")
		Expect(container.Ports).To(ConsistOf(
			HaveField("ContainerPort", portIn(options.MetricsBindAddress)),
			HaveField("ContainerPort", portIn(options.HealthBindAddress)),
		))
		for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
			Expect(portNamed(container.Ports, probe.HTTPGet.Port.String())).To(Equal(portIn(options.HealthBindAddress)))
		}
	})

	It("has a replica to take over, and one left while nodes are drained", func() {
		Expect(*deployment(installed).Spec.Replicas).To(BeEquivalentTo(2))
		budgets := ofKind[policyv1.PodDisruptionBudget](installed, "PodDisruptionBudget")
		Expect(budgets).To(HaveLen(1))
		Expect(budgets[0].Spec.MinAvailable.IntValue()).To(Equal(1))
	})

	It("denies the operator's Pods access to cloud metadata by a NetworkPolicy, too", func() {
		policies := ofKind[networkingv1.NetworkPolicy](installed, "NetworkPolicy")
		Expect(policies).To(HaveLen(1))
		reaches := func(text string) bool {
			addr := netip.MustParseAddr(text)
			for _, rule := range policies[0].Spec.Egress {
				for _, peer := range rule.To {
					within := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(addr) }
					if len(rule.Ports) == 0 && within(peer.IPBlock.CIDR) && !slices.ContainsFunc(peer.IPBlock.Except, within) {
						return true
					}
				}
			}
			return false
		}
		for _, address := range []string{"169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe"} {
			Expect(reaches(address)).To(BeFalse(), address)
		}
		for _, address := range []string{"192.0.2.10", "10.1.2.3", "2001:db8::1", "fd12::1"} {
			Expect(reaches(address)).To(BeTrue(), address)
		}
	})

	It("has Pods that the restricted Pod Security Standard admits", func(ctx SpecContext) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "manager-", Namespace: systemNamespace}, Spec: deployment(installed).Spec.Template.Spec}
		lax := pod.DeepCopy()
		Expect(k8s.Create(ctx, pod, client.DryRunAll)).To(Succeed())
		lax.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil
		Expect(k8s.Create(ctx, lax, client.DryRunAll)).To(MatchError(ContainSubstring(`violates PodSecurity "restricted:latest"`)), "the namespace enforces it")
	})

	It("lets the operator's own group send echo requests, for icmp probes", func() {
		Expect(deployment(installed).Spec.Template.Spec.SecurityContext.Sysctls).To(ConsistOf(
			corev1.Sysctl{Name: "net.ipv4.ping_group_range", Value: "0 2147483647"}))
	})

	It("grants these rights and no others", func() {
		Expect(granted(installed)).To(Equal([]string{
			"ClusterRole farpoint-externalservice-admin-role: * externalservices.farpoint.dev",
			"ClusterRole farpoint-externalservice-admin-role: get externalservices.farpoint.dev/status",
			"ClusterRole farpoint-externalservice-editor-role: create,delete,get,list,patch,update,watch externalservices.farpoint.dev",
			"ClusterRole farpoint-externalservice-editor-role: get externalservices.farpoint.dev/status",
			"ClusterRole farpoint-externalservice-viewer-role: get externalservices.farpoint.dev/status",
			"ClusterRole farpoint-externalservice-viewer-role: get,list,watch externalservices.farpoint.dev",
			"ClusterRole farpoint-externalservicepolicy-admin-role: * externalservicepolicies.farpoint.dev",
			"ClusterRole farpoint-externalservicepolicy-admin-role: get externalservicepolicies.farpoint.dev/status",
			"ClusterRole farpoint-externalservicepolicy-editor-role: create,delete,get,list,patch,update,watch externalservicepolicies.farpoint.dev",
			"ClusterRole farpoint-externalservicepolicy-editor-role: get externalservicepolicies.farpoint.dev/status",
			"ClusterRole farpoint-externalservicepolicy-viewer-role: get externalservicepolicies.farpoint.dev/status",
			"ClusterRole farpoint-externalservicepolicy-viewer-role: get,list,watch externalservicepolicies.farpoint.dev",
			"ClusterRole farpoint-manager-role: create events.events.k8s.io",
			"ClusterRole farpoint-manager-role: create subjectaccessreviews.authorization.k8s.io",
			"ClusterRole farpoint-manager-role: create tokenreviews.authentication.k8s.io",
			"ClusterRole farpoint-manager-role: create,delete,get,list,update,watch endpoints",
			"ClusterRole farpoint-manager-role: create,delete,get,list,update,watch endpointslices.discovery.k8s.io",
			"ClusterRole farpoint-manager-role: create,delete,get,list,update,watch services",
			"ClusterRole farpoint-manager-role: get configmaps",
			"ClusterRole farpoint-manager-role: get secrets",
			"ClusterRole farpoint-manager-role: get,list,watch externalservices.farpoint.dev",
			"ClusterRole farpoint-manager-role: get,list,watch referencegrants.gateway.networking.k8s.io",
			"ClusterRole farpoint-manager-role: list,watch externalservicepolicies.farpoint.dev",
			"ClusterRole farpoint-manager-role: list,watch namespaces",
			"ClusterRole farpoint-manager-role: list,watch nodes",
			"ClusterRole farpoint-manager-role: list,watch servicecidrs.networking.k8s.io",
			"ClusterRole farpoint-manager-role: update externalservicepolicies.farpoint.dev/status",
			"ClusterRole farpoint-manager-role: update externalservices.farpoint.dev/status",
			"ClusterRole farpoint-metrics-reader: get /metrics",
			"Role farpoint-manager-role: create events",
			"Role farpoint-manager-role: create,get,update leases.coordination.k8s.io",
			"Role farpoint-manager-role: create,update configmaps",
		}))
	})

	It("gives nothing to the holders of edit, admin and view", func() {
		for _, role := range ofKind[rbacv1.ClusterRole](installed, "ClusterRole") {
			Expect(role.AggregationRule).To(BeNil())
			for label := range role.Labels {
				Expect(label).NotTo(ContainSubstring("aggregate-to-"), "%s: CVE-2021-25740", role.Name)
			}
		}
	})

	It("has a CRD that fits into the annotation of kubectl apply", func() {
		for _, object := range installed {
			text, err := json.Marshal(object)
			Expect(err).NotTo(HaveOccurred())
			Expect(len(text)).To(BeNumerically("<", 200_000), "%s %s; the limit of all annotations is 256 KiB", object.GetKind(), object.GetName())
		}
	})

	It("is enough for the operator's whole story", func(ctx SpecContext) {
		withoutLease(ctx)
		used := &usedRights{}
		metrics, current := freeAddress(), freeAddress()
		receiver := newHook("")
		running := startOperator(used.of(serviceAccountConfig()), func(options *controllers.Options) {
			options.LeaderElect, options.LeaderElectionNamespace = true, systemNamespace
			options.WebhookURLs = []string{receiver.URL}
			options.MetricsBindAddress, options.HealthBindAddress = metrics, current
		})
		namespace, first, second := newNamespace(ctx), newTLSBackend(), newTLSBackend()
		object := externalService(namespace, "legacy-api", first.url(), second.url())
		object.Spec.ServiceTemplate = &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Name: "http", Port: 80}}}}
		object.Spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{ServerName: "example.com", CASecretRef: &farpointv1.KeyReference{Name: "ca"}}
		create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ca"}, StringData: map[string]string{"ca.crt": first.authority()}})
		object.Spec.PublishEndpoints = true
		create(ctx, object)

		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Expect(conditions(ctx, namespace, "legacy-api")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}))
		Expect(row(kubectl(ctx, "", "get", "extsvc", "--namespace", namespace, "--no-headers"))).To(Equal("legacy-api legacy-api 2/2 True True"))
		Expect(holder(ctx)).NotTo(BeEmpty())

		By("a death and a recovery")
		second.status.Store(http.StatusServiceUnavailable)
		Eventually(column(ctx, object)).Should(Equal("1/2"))
		Expect(conditions(ctx, namespace, "legacy-api")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))
		second.status.Store(http.StatusOK)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Eventually(notes(ctx, object)).Should(ContainElements(
			"Warning EndpointUnhealthy: Endpoint 192.0.2.11:8080 is unhealthy: status 503 is not an expected one",
			"Normal EndpointHealthy: Endpoint 192.0.2.11:8080 is healthy",
		))
		Eventually(receiver.heard).Should(Equal([]string{"dev.farpoint.endpoint.down 192.0.2.11:8080", "dev.farpoint.endpoint.up 192.0.2.11:8080"}))

		By("a legacy that is given up")
		Eventually(legacy(ctx, namespace, "legacy-api")).Should(Equal("http 8080: 192.0.2.10 192.0.2.11"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.PublishEndpoints = false })
		Eventually(legacy(ctx, namespace, "legacy-api")).Should(Equal("none"))

		By("an edit of the template and of the certificates' place")
		create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ca"}, Data: map[string]string{"ca.crt": first.authority()}})
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.ServiceTemplate.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
			spec.HealthCheck.TLS.CASecretRef, spec.HealthCheck.TLS.CAConfigMapRef = nil, &farpointv1.KeyReference{Name: "ca"}
		})
		target := &corev1.Service{}
		Eventually(func() corev1.ServiceAffinity {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), target)).To(Succeed())
			return target.Spec.SessionAffinity
		}).Should(Equal(corev1.ServiceAffinityClientIP))
		Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(now(ctx, object).Generation))
		Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("True Published"))

		By("a Service of another namespace")
		installGrants(ctx)
		there := newNamespace(ctx)
		create(ctx, grant(namespace, there), service(there, "shared"), acrossNamespaces(namespace, there, "shared", newBackend().url()))
		Eventually(conditions(ctx, there, "shared")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))

		By("a policy")
		labelled(ctx, namespace, map[string]string{"tenant": namespace})
		policy := policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.DeniedCIDRs = []farpointv1.CIDR{"192.0.2.11/32"}
		})
		Eventually(conditions(ctx, namespace, "legacy-api")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))
		Eventually(func() string { return row(kubectl(ctx, "", "get", "extsvcpol", policy.Name, "--no-headers")) }).Should(Equal(policy.Name + " 1 2 True"))

		By("a look from outside")
		for _, probe := range []*corev1.Probe{deployment(installed).Spec.Template.Spec.Containers[0].LivenessProbe, deployment(installed).Spec.Template.Spec.Containers[0].ReadinessProbe} {
			Expect(get(ctx, "http://"+current+probe.HTTPGet.Path, "")).To(Equal(http.StatusOK))
		}
		Expect(get(ctx, "https://"+metrics+"/metrics", "")).To(Equal(http.StatusUnauthorized))
		Expect(get(ctx, "https://"+metrics+"/metrics", newToken(ctx, namespace, "stranger", ""))).To(Equal(http.StatusForbidden))
		Expect(get(ctx, "https://"+metrics+"/metrics", newToken(ctx, namespace, "prometheus", "farpoint-metrics-reader"))).To(Equal(http.StatusOK))

		By("its end")
		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(func() error { return k8s.Get(ctx, client.ObjectKeyFromObject(object), target) }).Should(Satisfy(apierrors.IsNotFound))
		Expect(slicesFor(ctx, namespace, "legacy-api")).To(BeEmpty())
		running.stop()
		Expect(holder(ctx)).To(BeEmpty())

		Expect(used.refused()).To(BeEmpty())
		Expect(used.unused(installed)).To(BeEmpty(), "the roles grant what the story does not need")
	})
})

// deployment is the only one.
func deployment(among manifests) appsv1.Deployment {
	GinkgoHelper()
	deployments := ofKind[appsv1.Deployment](among, "Deployment")
	Expect(deployments).To(HaveLen(1))
	return deployments[0]
}

func portNamed(ports []corev1.ContainerPort, name string) int32 {
	for _, port := range ports {
		if port.Name == name {
			return port.ContainerPort
		}
	}
	return 0
}

// portIn is the number in an address such as ":8443".
func portIn(address string) int32 {
	GinkgoHelper()
	resolved, err := net.ResolveTCPAddr("tcp", address)
	Expect(err).NotTo(HaveOccurred())
	return int32(resolved.Port)
}

// serviceAccountConfig has the rights of the installed operator.
func serviceAccountConfig() *rest.Config {
	config := rest.CopyConfig(adminConfig)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + systemNamespace + ":" + account,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + systemNamespace, "system:authenticated"},
	}
	return config
}

// row is a line that kubectl prints, without the age at its end.
func row(line string) string {
	fields := strings.Fields(line)
	return strings.Join(fields[:max(len(fields)-1, 0)], " ")
}

// holder returns the identity that holds the lease; empty if it was released.
func holder(ctx SpecContext) string {
	GinkgoHelper()
	lease := &coordinationv1.Lease{}
	Expect(k8s.Get(ctx, client.ObjectKey{Namespace: systemNamespace, Name: "farpoint-manager"}, lease)).To(Succeed())
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// withoutLease removes the lease of a previous operator, so that the next one creates its own.
func withoutLease(ctx SpecContext) {
	GinkgoHelper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "farpoint-manager"}}
	Expect(client.IgnoreNotFound(k8s.Delete(ctx, lease))).To(Succeed())
}
