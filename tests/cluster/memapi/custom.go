package main

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	crdv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/yaml"
)

// addCustom serves the resource that the file's CustomResourceDefinition describes.
func (s *server) addCustom(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	crd := &crdv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, crd); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(crd.Spec.Versions) != 1 {
		return fmt.Errorf("%s: only one version of a kind can be served", file)
	}
	crdv1.SetDefaults_CustomResourceDefinition(crd)
	structure, err := structureOf(crd)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	version, names := crd.Spec.Versions[0], crd.Spec.Names
	made := &kind{
		GroupVersionKind: schema.GroupVersionKind{
			Group: crd.Spec.Group, Version: version.Name, Kind: names.Kind,
		},
		APIResource: metav1.APIResource{
			Name:         names.Plural,
			SingularName: names.Singular,
			ShortNames:   names.ShortNames,
			Categories:   names.Categories,
			Namespaced:   crd.Spec.Scope == crdv1.NamespaceScoped,
		},
		listKind:  names.ListKind,
		custom:    true,
		hasStatus: version.Subresources != nil && version.Subresources.Status != nil,
		deletes:   true,
		counted:   allButMetadata,
		complete:  completeCustom(structure),
	}
	for _, field := range version.SelectableFields {
		made.fields = append(made.fields, strings.TrimPrefix(field.JSONPath, "."))
	}
	models, err := builder.BuildOpenAPIV3(crd, version.Name, builder.Options{})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	schemas, err := managedfields.NewTypeConverter(models.Components.Schemas, false)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return s.add(made, schemas)
}

func structureOf(crd *crdv1.CustomResourceDefinition) (*structural.Structural, error) {
	internal := &apiextensions.CustomResourceValidation{}
	convert := crdv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation
	if err := convert(crd.Spec.Versions[0].Schema, internal, nil); err != nil {
		return nil, err
	}
	structure, err := structural.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	structure = structure.DeepCopy()
	return structure, defaulting.PruneDefaults(structure)
}

func completeCustom(structure *structural.Structural) func(content) (content, error) {
	return func(obj content) (content, error) {
		metadata, _, err := objectmeta.GetObjectMeta(obj, false)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		pruning.Prune(obj, structure, true)
		defaulting.PruneNonNullableNullsWithoutDefaults(obj, structure)
		defaulting.Default(obj, structure)
		return obj, objectmeta.SetObjectMeta(obj, metadata)
	}
}

// allButMetadata is what a custom resource's generation counts. A status is no part of it: each
// write of the object keeps that as it is.
func allButMetadata(obj content) interface{} {
	rest := content{}
	for name, value := range obj {
		if name != "metadata" {
			rest[name] = value
		}
	}
	return rest
}
