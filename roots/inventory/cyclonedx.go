package inventory

type cycloneDocument struct {
	Format       string             `json:"bomFormat"`
	Spec         string             `json:"specVersion"`
	Serial       string             `json:"serialNumber"`
	Version      int                `json:"version"`
	Metadata     cycloneMetadata    `json:"metadata"`
	Components   []cycloneComponent `json:"components"`
	Dependencies []cycloneNeeds     `json:"dependencies"`
}

type cycloneMetadata struct {
	Timestamp string           `json:"timestamp,omitempty"`
	Component cycloneComponent `json:"component"`
}

type cycloneComponent struct {
	Type       string            `json:"type"`
	Ref        string            `json:"bom-ref"`
	Name       string            `json:"name"`
	Version    string            `json:"version,omitempty"`
	Hashes     []cycloneHash     `json:"hashes,omitempty"`
	Purl       string            `json:"purl,omitempty"`
	External   []cycloneExternal `json:"externalReferences,omitempty"`
	Properties []cycloneProperty `json:"properties,omitempty"`
}

type cycloneHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type cycloneExternal struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type cycloneProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type cycloneNeeds struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

// CycloneDX returns the bill as a document of CycloneDX 1.6, to be encoded as
// JSON (https://cyclonedx.org/docs/1.6/json/). Equal bills give equal documents.
func (b *Bill) CycloneDX() (any, error) {
	serial, err := b.uuid("cyclonedx")
	if err != nil {
		return nil, err
	}
	whole := cycloneComponent{Type: "operating-system", Ref: "image:" + b.ID.String(), Name: b.Name, Version: "sha256:" + b.ID.String()}
	d := &cycloneDocument{Format: "CycloneDX", Spec: "1.6", Serial: serial, Version: 1, Metadata: cycloneMetadata{Component: whole}, Components: []cycloneComponent{}}
	if b.Date != 0 {
		d.Metadata.Timestamp = b.created()
	}
	needs := cycloneNeeds{Ref: whole.Ref, On: []string{}}
	for i := range b.Parts {
		p := &b.Parts[i]
		c := cycloneComponent{Type: "library", Ref: "package:" + p.Digest.String(), Name: p.Name, Version: p.Version, Purl: p.Identifier(),
			Properties: []cycloneProperty{{"ninefold:image", p.By}, {"ninefold:package", "sha256:" + p.Digest.String()}}}
		if p.URL != "" {
			c.External = []cycloneExternal{{"distribution", p.URL}}
		}
		if !p.SHA256.IsZero() {
			c.Hashes = []cycloneHash{{"SHA-256", p.SHA256.String()}}
		}
		d.Components = append(d.Components, c)
		needs.On = append(needs.On, c.Ref)
	}
	d.Dependencies = []cycloneNeeds{needs}
	return d, nil
}
