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
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kubectl runs the kubectl of the control plane as the administrator and returns what it prints.
// Any output to stderr, such as a warning, is a failure.
func kubectl(ctx SpecContext, stdin string, arguments ...string) string {
	GinkgoHelper()
	command := exec.CommandContext(ctx, filepath.Join(assets(), "kubectl"), arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig(), "HOME="+GinkgoT().TempDir())
	command.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	Expect(stderr.String()).To(BeEmpty(), "kubectl %v: %s", arguments, &stdout)
	Expect(err).NotTo(HaveOccurred(), "kubectl %v: %s", arguments, &stdout)
	return stdout.String()
}

// assets is the folder with the programs that the tests start.
func assets() string {
	GinkgoHelper()
	folder := os.Getenv("KUBEBUILDER_ASSETS")
	Expect(folder).NotTo(BeEmpty(), "`make test` sets KUBEBUILDER_ASSETS")
	return folder
}

// kubeconfig writes what the administrator needs to log in and returns the file.
func kubeconfig() string {
	GinkgoHelper()
	const name = "envtest"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: "https://" + strings.TrimPrefix(adminConfig.Host, "https://"), CertificateAuthorityData: adminConfig.CAData}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: adminConfig.CertData, ClientKeyData: adminConfig.KeyData}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	file := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(*config, file)).To(Succeed())
	return file
}

// apply applies manifests as a user would. The API server must know every field and give no
// warning.
func apply(ctx SpecContext, stdin string, from ...string) {
	GinkgoHelper()
	kubectl(ctx, stdin, append([]string{"apply", "--server-side", "--validate=strict", "--warnings-as-errors"}, from...)...)
}

// manifests are the objects of a kustomization or a file.
type manifests []*unstructured.Unstructured

// rendered are the objects that a folder with a kustomization stands for.
func rendered(ctx SpecContext, folder string) manifests {
	GinkgoHelper()
	return decoded(kubectl(ctx, "", "kustomize", folder))
}

func decoded(text string) manifests {
	GinkgoHelper()
	var objects manifests
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), len(text)); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		Expect(err).NotTo(HaveOccurred())
		objects = append(objects, object)
	}
}

// has reports whether there is an object of this name; the namespace is empty for one that
// has none.
func (m manifests) has(kind, namespace, name string) bool {
	for _, object := range m {
		if object.GetKind() == kind && object.GetNamespace() == namespace && object.GetName() == name {
			return true
		}
	}
	return false
}

// ofKind are the objects of the kind.
func ofKind[T any](from manifests, kind string) []T {
	GinkgoHelper()
	var objects []T
	for _, object := range from {
		if object.GetKind() == kind {
			objects = append(objects, typed[T](object))
		}
	}
	return objects
}

func typed[T any](object *unstructured.Unstructured) T {
	GinkgoHelper()
	var value T
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &value, true)).To(Succeed())
	return value
}

// remove deletes the objects, except those that stay without controllers (namespaces) or that all
// specs need (CRDs).
func (m manifests) remove(ctx SpecContext) {
	GinkgoHelper()
	for _, object := range m {
		if object.GetKind() == "Namespace" || object.GetKind() == "CustomResourceDefinition" {
			continue
		}
		Expect(client.IgnoreNotFound(k8s.Delete(ctx, object))).To(Succeed())
	}
}

// referenceCheck collects the references of objects to others that are not among them.
type referenceCheck struct {
	among      manifests
	unresolved []string
}

// unresolvedReferences returns the references of objects to others that are not among them.
func unresolvedReferences(among manifests) []string {
	GinkgoHelper()
	r := referenceCheck{among: among}
	r.ofBindings()
	r.ofManager()
	r.ofSelectors()
	r.ofMonitoring()
	return r.unresolved
}

// need notes a reference to an object that is not there.
func (r *referenceCheck) need(ok bool, format string, arguments ...any) {
	if !ok {
		r.unresolved = append(r.unresolved, fmt.Sprintf(format, arguments...))
	}
}

func (r *referenceCheck) ofBindings() {
	GinkgoHelper()
	bound := func(namespace string, role rbacv1.RoleRef, subjects []rbacv1.Subject) {
		if role.Kind == "ClusterRole" {
			namespace = ""
		}
		r.need(r.among.has(role.Kind, namespace, role.Name), "%s %s", role.Kind, role.Name)
		for _, subject := range subjects {
			r.need(r.among.has(subject.Kind, subject.Namespace, subject.Name), "%s %s/%s", subject.Kind, subject.Namespace, subject.Name)
		}
	}
	for _, binding := range ofKind[rbacv1.RoleBinding](r.among, "RoleBinding") {
		bound(binding.Namespace, binding.RoleRef, binding.Subjects)
	}
	for _, binding := range ofKind[rbacv1.ClusterRoleBinding](r.among, "ClusterRoleBinding") {
		bound("", binding.RoleRef, binding.Subjects)
	}
}

// ofManager checks the references of the Deployment, and the Services of its Pods.
func (r *referenceCheck) ofManager() {
	GinkgoHelper()
	manager := deployment(r.among)
	pod := manager.Spec.Template
	r.need(r.among.has("Namespace", "", manager.Namespace), "Namespace %s", manager.Namespace)
	r.need(r.among.has("ServiceAccount", manager.Namespace, pod.Spec.ServiceAccountName), "ServiceAccount %s", pod.Spec.ServiceAccountName)
	for _, service := range ofKind[corev1.Service](r.among, "Service") {
		selected := service.Namespace == manager.Namespace && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels))
		r.need(selected, "Pods of Service %s", service.Name)
		for _, port := range service.Spec.Ports {
			r.need(portNamed(pod.Spec.Containers[0].Ports, port.TargetPort.String()) == port.Port, "port %s of Service %s", port.TargetPort.String(), service.Name)
		}
	}
}

// ofSelectors checks that what selects the manager's Pods does so.
func (r *referenceCheck) ofSelectors() {
	GinkgoHelper()
	pod := deployment(r.among).Spec.Template
	selects := func(selector *metav1.LabelSelector, what string) {
		parsed, err := metav1.LabelSelectorAsSelector(selector)
		Expect(err).NotTo(HaveOccurred())
		r.need(parsed.Matches(labels.Set(pod.Labels)), "Pods of %s", what)
	}
	for _, constraint := range pod.Spec.TopologySpreadConstraints {
		selects(constraint.LabelSelector, "the spread over "+constraint.TopologyKey)
	}
	for _, budget := range ofKind[policyv1.PodDisruptionBudget](r.among, "PodDisruptionBudget") {
		selects(budget.Spec.Selector, "PodDisruptionBudget "+budget.Name)
	}
	for _, policy := range ofKind[networkingv1.NetworkPolicy](r.among, "NetworkPolicy") {
		selects(&policy.Spec.PodSelector, "NetworkPolicy "+policy.Name)
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				r.need(portNamed(pod.Spec.Containers[0].Ports, port.Port.String()) != 0, "port %s of NetworkPolicy %s", port.Port, policy.Name)
			}
		}
	}
}

// ofMonitoring checks ServiceMonitors, and the tokens by which Prometheus reads the metrics.
func (r *referenceCheck) ofMonitoring() {
	GinkgoHelper()
	services := ofKind[corev1.Service](r.among, "Service")
	for _, object := range r.among {
		if object.GetKind() == "ServiceMonitor" {
			r.need(slices.ContainsFunc(services, func(service corev1.Service) bool { return monitors(object, service) }), "Service of ServiceMonitor %s", object.GetName())
			token := tokenOf(object)
			r.need(r.among.has("Secret", object.GetNamespace(), token), "Secret %s of ServiceMonitor %s", token, object.GetName())
		}
	}
	for _, secret := range ofKind[corev1.Secret](r.among, "Secret") {
		account := secret.Annotations[corev1.ServiceAccountNameKey]
		r.need(r.among.has("ServiceAccount", secret.Namespace, account), "ServiceAccount %s of Secret %s", account, secret.Name)
	}
}

// monitors reports whether a ServiceMonitor finds all of its endpoints in the Service.
func monitors(monitor *unstructured.Unstructured, service corev1.Service) bool {
	GinkgoHelper()
	selector, ok, err := unstructured.NestedStringMap(monitor.Object, "spec", "selector", "matchLabels")
	Expect(ok, err).To(BeTrue())
	endpoints, ok, err := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
	Expect(ok, err).To(BeTrue())
	for _, endpoint := range endpoints {
		named := func(port corev1.ServicePort) bool { return port.Name == endpoint.(map[string]any)["port"] }
		if !slices.ContainsFunc(service.Spec.Ports, named) {
			return false
		}
	}
	return service.Namespace == monitor.GetNamespace() && labels.SelectorFromSet(selector).Matches(labels.Set(service.Labels))
}

// tokenOf is the Secret that a ServiceMonitor takes its token from.
func tokenOf(monitor *unstructured.Unstructured) string {
	GinkgoHelper()
	endpoints, ok, err := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
	Expect(ok, err).To(BeTrue())
	name, ok, err := unstructured.NestedString(endpoints[0].(map[string]any), "authorization", "credentials", "name")
	Expect(ok, err).To(BeTrue())
	return name
}
