//! A Rust file with what the checks ask of it: its functions, types and references, and which lines are test code.

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::finding::Finding;
use crate::tokens::{self, TokenPath};

/// A file that parses.
#[derive(Debug)]
pub(crate) struct RustFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// All of it is test code.
    pub(crate) is_test: bool,
    pub(crate) functions: Vec<Function>,
    /// Names of types and modules defined here.
    pub(crate) definitions: Vec<Definition>,
    pub(crate) references: Vec<Reference>,
    pub(crate) paths: Vec<TokenPath>,
    pub(crate) attributes: Vec<(String, usize)>,
    /// `#[cfg(test)] mod name;`
    pub(crate) test_modules: Vec<String>,
    /// Names that `use` brings into the file's own module; `*` for a glob.
    pub(crate) brought_in: Vec<String>,
    /// Names that are defined in the file's own module.
    pub(crate) root_items: Vec<String>,
    regions: Vec<Region>,
}

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Of `fn`; the attributes above do not count.
    pub(crate) first_line: usize,
    pub(crate) last_line: usize,
    pub(crate) is_in_trait_impl: bool,
}

#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) is_module: bool,
}

/// A path that is used: in `use`, in an expression, a type or a macro call.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// Modules inside the file around the place.
    pub(crate) scope: Vec<String>,
    pub(crate) is_import: bool,
    pub(crate) is_test: bool,
}

/// Lines that belong together under a name.
#[derive(Debug)]
struct Region {
    name: Option<String>,
    first_line: usize,
    last_line: usize,
    is_test: bool,
    is_macro_call: bool,
}

impl RustFile {
    /// # Errors
    /// A finding that says where the text does not parse.
    pub(crate) fn parse(path: &str, text: &str) -> Result<RustFile, Finding> {
        let unreadable = |line: usize, error: String| {
            Finding::new(path, line, format!("this does not parse ({error}): put it right first"))
        };
        let stream: TokenStream =
            text.parse().map_err(|error: proc_macro2::LexError| unreadable(1, error.to_string()))?;
        let syntax: syn::File = syn::parse2(stream.clone())
            .map_err(|error| unreadable(error.span().start().line, error.to_string()))?;
        let mut reading = Reading::default();
        reading.visit_file(&syntax);
        Ok(RustFile {
            path: path.to_owned(),
            text: text.to_owned(),
            is_test: is_test_path(path),
            functions: reading.functions,
            definitions: reading.definitions,
            references: reading.references,
            paths: tokens::paths(stream.clone()),
            attributes: tokens::attributes(stream),
            test_modules: reading.test_modules,
            brought_in: syntax.items.iter().flat_map(names_brought_in).collect(),
            root_items: syntax.items.iter().filter_map(item_name).collect(),
            regions: reading.regions,
        })
    }

    /// The crate's folder name: `packet` of `crates/packet/src/lib.rs`.
    pub(crate) fn crate_folder(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// The path inside `src` of its crate: `routing/interest.rs`.
    pub(crate) fn path_in_src(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("crates/")?.split_once('/')?.1;
        inside.strip_prefix("src/")
    }

    /// Where the modules declared in this file have theirs.
    pub(crate) fn module_folder(&self) -> String {
        let (folder, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        match name {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        }
    }

    /// True if the line is in a test, a test module or a test file.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.is_test || self.regions.iter().any(|region| region.is_test && region.contains(line))
    }

    /// The function, type or constant around the line, or the one a comment on that line stands above.
    pub(crate) fn name_at(&self, line: usize) -> Option<String> {
        let around = self.regions.iter().filter(|region| region.contains(line));
        if let Some(region) = around.min_by_key(|region| region.last_line - region.first_line)
            && let Some(name) = self.name_in(region, line)
        {
            return Some(name);
        }
        let below = self.line_below_comment(line)?;
        let mut starting = self.regions.iter().filter(|region| region.first_line == below);
        starting.find_map(|region| region.name.clone())
    }

    fn name_in(&self, region: &Region, line: usize) -> Option<String> {
        if !region.is_macro_call {
            return region.name.clone();
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let names = |range: &[&str]| range.iter().find_map(|text| function_name(text));
        let above: Vec<&str> = lines[region.first_line - 1..line].iter().rev().copied().collect();
        let is_comment = lines[line - 1].trim_start().starts_with("//");
        let below = &lines[line - 1..region.last_line];
        if is_comment { names(below).or_else(|| names(&above)) } else { names(&above) }
    }

    /// The first line under a block of comments, if the line is in one.
    fn line_below_comment(&self, line: usize) -> Option<usize> {
        let mut lines = self.text.lines().enumerate().skip(line - 1);
        let (_, first) = lines.next()?;
        if !first.trim_start().starts_with("//") {
            return None;
        }
        lines.find(|(_, text)| !text.trim_start().starts_with("//")).map(|(index, _)| index + 1)
    }
}

impl Region {
    fn contains(&self, line: usize) -> bool {
        (self.first_line..=self.last_line).contains(&line)
    }
}

/// Whole folders of test code.
fn is_test_path(path: &str) -> bool {
    let mut folders = path.split('/').rev().skip(1);
    folders.any(|folder| matches!(folder, "tests" | "benches" | "examples"))
}

/// The name in a line such as `pub fn name(`.
fn function_name(text: &str) -> Option<String> {
    let after = text.split("fn ").nth(1)?;
    let is_word = text.starts_with("fn ") || text.contains(" fn ");
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (is_word && !name.is_empty()).then_some(name)
}

fn item_name(item: &syn::Item) -> Option<String> {
    let ident = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Mod(item) => &item.ident,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// The names a `use` makes, without its paths.
fn names_brought_in(item: &syn::Item) -> Vec<String> {
    fn collect(tree: &syn::UseTree, names: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => collect(&path.tree, names),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| collect(tree, names)),
            syn::UseTree::Name(name) => names.push(name.ident.to_string()),
            syn::UseTree::Rename(name) => names.push(name.rename.to_string()),
            syn::UseTree::Glob(_) => names.push("*".to_owned()),
        }
    }
    let mut names = Vec::new();
    if let syn::Item::Use(item) = item {
        collect(&item.tree, &mut names);
    }
    names
}

/// Walks the syntax tree once and notes everything.
#[derive(Default)]
struct Reading {
    functions: Vec<Function>,
    definitions: Vec<Definition>,
    references: Vec<Reference>,
    test_modules: Vec<String>,
    regions: Vec<Region>,
    scope: Vec<String>,
    /// The type of the `impl`, or the trait, around the place.
    owner: Option<String>,
    is_in_trait_impl: bool,
    is_in_test: bool,
}

impl Reading {
    fn note_region(&mut self, name: Option<String>, place: &impl Spanned, is_macro_call: bool) {
        let span = place.span();
        self.regions.push(Region {
            name,
            first_line: span.start().line,
            last_line: span.end().line,
            is_test: self.is_in_test,
            is_macro_call,
        });
    }

    fn note_definition(&mut self, ident: &syn::Ident, is_module: bool) {
        let line = ident.span().start().line;
        self.definitions.push(Definition { name: ident.to_string(), line, is_module });
    }

    fn note_function(&mut self, signature: &syn::Signature, end: usize, place: &impl Spanned) {
        let name = signature.ident.to_string();
        self.functions.push(Function {
            name: name.clone(),
            first_line: signature.fn_token.span().start().line,
            last_line: end,
            is_in_trait_impl: self.is_in_trait_impl,
        });
        let shown = match &self.owner {
            Some(owner) => format!("{owner}::{name}"),
            None => name,
        };
        self.note_region(Some(shown), place, false);
    }

    fn note_reference(&mut self, segments: Vec<String>, line: usize, is_import: bool) {
        let scope = self.scope.clone();
        self.references.push(Reference { segments, line, scope, is_import, is_test: self.is_in_test });
    }

    fn note_use(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let with = |ident: &syn::Ident| {
            let mut segments = prefix.to_vec();
            segments.push(ident.to_string());
            segments
        };
        match tree {
            syn::UseTree::Path(path) => self.note_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_use(tree, prefix);
                }
            }
            syn::UseTree::Name(name) if name.ident == "self" => self.note_import(prefix.to_vec(), tree),
            syn::UseTree::Name(name) => self.note_import(with(&name.ident), tree),
            syn::UseTree::Rename(name) => self.note_import(with(&name.ident), tree),
            syn::UseTree::Glob(_) => self.note_import([prefix, &["*".to_owned()]].concat(), tree),
        }
    }

    fn note_import(&mut self, segments: Vec<String>, tree: &syn::UseTree) {
        self.note_reference(segments, tree.span().start().line, true);
    }

    /// Visits what is inside with `is_in_test` set if the attributes say so.
    fn inside(&mut self, attributes: &[syn::Attribute], visit: impl FnOnce(&mut Reading)) {
        let before = self.is_in_test;
        self.is_in_test |= attributes.iter().any(is_test_attribute);
        visit(self);
        self.is_in_test = before;
    }
}

impl<'ast> Visit<'ast> for Reading {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.note_definition(&item.ident, true);
        self.inside(&item.attrs, |reading| {
            if item.content.is_none() {
                if reading.is_in_test {
                    reading.test_modules.push(item.ident.to_string());
                }
                return;
            }
            reading.note_region(None, item, false);
            reading.scope.push(item.ident.to_string());
            visit::visit_item_mod(reading, item);
            reading.scope.pop();
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.inside(&item.attrs, |reading| {
            let owner = reading.owner.take();
            reading.note_function(&item.sig, item.block.span().end().line, item);
            visit::visit_item_fn(reading, item);
            reading.owner = owner;
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.inside(&item.attrs, |reading| {
            reading.note_function(&item.sig, item.block.span().end().line, item);
            visit::visit_impl_item_fn(reading, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.note_function(&item.sig, item.span().end().line, item);
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.inside(&item.attrs, |reading| {
            let owner = reading.owner.replace(type_name(&item.self_ty));
            let was_in_trait_impl = std::mem::replace(&mut reading.is_in_trait_impl, item.trait_.is_some());
            visit::visit_item_impl(reading, item);
            reading.is_in_trait_impl = was_in_trait_impl;
            reading.owner = owner;
        });
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.note_definition(&item.ident, false);
        self.note_region(Some(item.ident.to_string()), item, false);
        let owner = self.owner.replace(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.owner = owner;
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.inside(&item.attrs, |reading| {
            reading.note_definition(&item.ident, false);
            reading.note_region(Some(item.ident.to_string()), item, false);
            visit::visit_item_struct(reading, item);
        });
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.inside(&item.attrs, |reading| {
            reading.note_definition(&item.ident, false);
            reading.note_region(Some(item.ident.to_string()), item, false);
            visit::visit_item_enum(reading, item);
        });
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.note_definition(&item.ident, false);
        visit::visit_item_type(self, item);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.inside(&item.attrs, |reading| {
            reading.note_region(Some(item.ident.to_string()), item, false);
            visit::visit_item_const(reading, item);
        });
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.inside(&item.attrs, |reading| {
            reading.note_region(Some(item.ident.to_string()), item, false);
            visit::visit_item_static(reading, item);
        });
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        self.inside(&item.attrs, |reading| {
            match &item.ident {
                Some(ident) => reading.note_region(Some(ident.to_string()), item, false),
                None => reading.note_region(None, item, true),
            }
            visit::visit_item_macro(reading, item);
        });
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.inside(&item.attrs, |reading| reading.note_use(&item.tree, &[]));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.note_reference(segments, path.span().start().line, false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        for path in tokens::paths(call.tokens.clone()) {
            self.note_reference(path.segments, path.line, false);
        }
        visit::visit_macro(self, call);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`
fn is_test_attribute(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    if path.is_ident("cfg") {
        return attribute.parse_args::<syn::Meta>().is_ok_and(|condition| demands_test(&condition));
    }
    path.segments.last().is_some_and(|segment| segment.ident == "test")
}

/// True if the condition cannot hold outside a test build.
fn demands_test(condition: &syn::Meta) -> bool {
    match condition {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) if list.path.is_ident("all") => {
            let parser = syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated;
            list.parse_args_with(parser).is_ok_and(|parts| parts.iter().any(demands_test))
        }
        _ => false,
    }
}

fn type_name(ty: &syn::Type) -> String {
    match ty {
        syn::Type::Path(path) => {
            path.path.segments.last().map_or_else(|| "impl".to_owned(), |segment| segment.ident.to_string())
        }
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => "impl".to_owned(),
    }
}
