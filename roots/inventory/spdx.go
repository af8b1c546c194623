package inventory

import "strconv"

type spdxDocument struct {
	Version       string             `json:"spdxVersion"`
	License       string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Describes     []string           `json:"documentDescribes"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID        string          `json:"SPDXID"`
	Name      string          `json:"name"`
	Version   string          `json:"versionInfo,omitempty"`
	Location  string          `json:"downloadLocation"`
	Analyzed  bool            `json:"filesAnalyzed"`
	Concluded string          `json:"licenseConcluded"`
	Declared  string          `json:"licenseDeclared"`
	Copyright string          `json:"copyrightText"`
	Checksums []spdxChecksum  `json:"checksums,omitempty"`
	External  []spdxReference `json:"externalRefs,omitempty"`
	Comment   string          `json:"comment,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxReference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

const (
	spdxSelf  = "SPDXRef-DOCUMENT"
	spdxImage = "SPDXRef-Image"
	spdxNone  = "NOASSERTION" // what SPDX says for "nothing is known of it"
)

// SPDX returns the bill as a document of SPDX 2.3, to be encoded as JSON
// (https://spdx.github.io/spdx-spec/v2.3/). Licences are not asserted. The date
// is the bill's own and not that of today: equal bills give equal documents.
func (b *Bill) SPDX() (any, error) {
	namespace, err := b.uuid("spdx")
	if err != nil {
		return nil, err
	}
	d := &spdxDocument{Version: "SPDX-2.3", License: "CC0-1.0", ID: spdxSelf, Name: b.Name, Namespace: namespace,
		Creation:  spdxCreation{Created: b.created(), Creators: []string{"Tool: ninefold"}},
		Describes: []string{spdxImage}}
	whole := unasserted(spdxImage, b.Name)
	whole.Version = "sha256:" + b.ID.String()
	d.Packages = append(d.Packages, whole)
	d.Relationships = append(d.Relationships, spdxRelationship{spdxSelf, "DESCRIBES", spdxImage})
	for i := range b.Parts {
		p := &b.Parts[i]
		q := unasserted("SPDXRef-Package-"+strconv.Itoa(i+1), p.Name)
		q.Version = p.Version
		q.External = []spdxReference{{"PACKAGE-MANAGER", "purl", p.Identifier()}}
		q.Comment = "brought by image " + p.By + " as plain package sha256:" + p.Digest.String()
		if p.URL != "" {
			q.Location = p.URL
		}
		if !p.SHA256.IsZero() {
			q.Checksums = []spdxChecksum{{"SHA256", p.SHA256.String()}}
		}
		d.Packages = append(d.Packages, q)
		d.Relationships = append(d.Relationships, spdxRelationship{spdxImage, "CONTAINS", q.ID})
	}
	return d, nil
}

func unasserted(id, name string) spdxPackage {
	return spdxPackage{ID: id, Name: name, Location: spdxNone, Concluded: spdxNone, Declared: spdxNone, Copyright: spdxNone}
}
