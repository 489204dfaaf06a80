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

package docs_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// The oldest Kubernetes of the README is the oldest that takes the CRDs. An API server lets
// new rules use only what the version before its own knew, so that it can be rolled back.
func TestReadmeNamesTheOldestKubernetesThatTakesTheCRDs(t *testing.T) {
	match := regexp.MustCompile(`Kubernetes 1\.(\d+) or newer`).FindStringSubmatch(read(t, readme))
	if match == nil {
		t.Fatal("the README does not say which Kubernetes it takes")
	}
	minor, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	takes := func(minor int) (faults []string) {
		known := environment.MustBaseEnvSet(version.MajorMinor(1, uint(minor-1)))
		for _, root := range structuralSchemas(t) {
			faults = append(faults, rulesThatDoNotCompile(t, root, known)...)
		}
		return faults
	}
	if faults := takes(minor); len(faults) > 0 {
		t.Errorf("Kubernetes 1.%d refuses the CRDs: %v", minor, faults)
	}
	if len(takes(minor-1)) == 0 {
		t.Errorf("Kubernetes 1.%d takes the CRDs as well", minor-1)
	}
}

// structuralSchemas are those of the CRDs.
func structuralSchemas(t *testing.T) []*schema.Structural {
	t.Helper()
	files, err := filepath.Glob("../config/crd/bases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	var roots []*schema.Structural
	for _, file := range files {
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict([]byte(read(t, file)), &definition); err != nil {
			t.Fatal(err)
		}
		for _, v := range definition.Spec.Versions {
			var internal apiextensions.JSONSchemaProps
			if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &internal, nil); err != nil {
				t.Fatal(err)
			}
			root, err := schema.NewStructural(&internal)
			if err != nil {
				t.Fatal(err)
			}
			roots = append(roots, root)
		}
	}
	return roots
}

// rulesThatDoNotCompile are those of a schema and of all below it.
func rulesThatDoNotCompile(t *testing.T, root *schema.Structural, known *environment.EnvSet) (faults []string) {
	t.Helper()
	visitor := schema.Visitor{Structural: func(part *schema.Structural) bool {
		compiled, err := cel.Compile(part, model.SchemaDeclType(part, part == root), celconfig.PerCallLimit, known, cel.NewExpressionsEnvLoader())
		if err != nil {
			t.Fatal(err)
		}
		for i, rule := range compiled {
			if rule.Error != nil {
				faults = append(faults, fmt.Sprintf("%s: %v", part.XValidations[i].Rule, rule.Error))
			}
		}
		return false
	}}
	visitor.Visit(root)
	return faults
}
