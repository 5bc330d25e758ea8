//! A restored database is given to whom the live one belongs, with its settings and grants.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::place::Place;
use super::{WORK_MAX, literal, quoted};
use crate::domain::Clean;
use crate::step::Hands;

/// How the live database was made.
#[derive(Debug, Deserialize)]
struct Made {
    encoding: String,
    collate: String,
    ctype: String,
    provider: Option<String>,
    icu: Option<String>,
    limit: i64,
    owner: String,
}

#[derive(Deserialize)]
struct Owned {
    what: String,
    owner: String,
}

/// Objects that have an owner of their own, as a statement names them.
const OWNED: &str = "\
    SELECT json_build_object('what', what, 'owner', pg_catalog.pg_get_userbyid(owner)) FROM ( \
      SELECT 'SCHEMA ' || quote_ident(nspname) AS what, nspowner AS owner FROM pg_catalog.pg_namespace n \
      WHERE nspname <> 'information_schema' AND nspname !~ '^pg_' AND nspname <> 'public' \
      UNION ALL SELECT 'TABLE ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relowner \
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
      WHERE c.relkind IN ('r','p','v','f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
      UNION ALL SELECT 'MATERIALIZED VIEW ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relowner \
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
      WHERE c.relkind = 'm' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
      UNION ALL SELECT 'SEQUENCE ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relowner \
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
      WHERE c.relkind = 'S' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass \
        AND d.objid = c.oid AND d.deptype IN ('a','i')) \
      UNION ALL SELECT 'ROUTINE ' || quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '(' || \
        pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', p.proowner \
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
      WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass \
        AND d.objid = p.oid AND d.deptype = 'e') \
      UNION ALL SELECT 'TYPE ' || quote_ident(n.nspname) || '.' || quote_ident(t.typname), t.typowner \
      FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
      WHERE t.typtype IN ('e','d') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
    ) AS every ORDER BY what";

/// Settings whose value is a list of names and is written as it stands.
const LISTS: &str =
    "'search_path','temp_tablespaces','session_preload_libraries','local_preload_libraries'";

async fn made(hands: &Hands, place: &Place) -> Result<Made, Clean> {
    let question = format!(
        "SELECT json_build_object('encoding', pg_encoding_to_char(encoding), 'collate', datcollate, \
         'ctype', datctype, 'provider', to_jsonb(d)->>'datlocprovider', \
         'icu', coalesce(to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale'), \
         'limit', datconnlimit, 'owner', pg_get_userbyid(datdba)) \
         FROM pg_catalog.pg_database d WHERE datname = {}",
        literal(&place.database)
    );
    place.server.row(hands, place.apart(), &question).await
}

/// The words after `CREATE DATABASE … OWNER …` that make another one like the live one.
pub(in crate::step) async fn like_live(hands: &Hands, place: &Place) -> Result<String, Clean> {
    let made = made(hands, place).await?;
    let icu = match (made.provider.as_deref(), &made.icu) {
        (Some("i"), Some(locale)) => {
            format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", literal(locale))
        }
        _ => String::new(),
    };
    Ok(format!(
        "TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}{icu} CONNECTION LIMIT {}",
        literal(&made.encoding),
        literal(&made.collate),
        literal(&made.ctype),
        made.limit
    ))
}

/// Gives everything to its owner, copies settings and grants of the live database, and removes the restorer.
pub(in crate::step) async fn hand_over(
    hands: &Hands,
    place: &Place,
    database: &str,
) -> Result<(), Clean> {
    let owner = made(hands, place).await?.owner;
    let restorer = quoted(&place.restorer());
    let mut statements = vec![format!(
        "REASSIGN OWNED BY {restorer} TO {}",
        quoted(&owner)
    )];
    statements.extend(owners(hands, place, database, &owner).await?);
    // What is left are grants to itself.
    statements.push(format!("DROP OWNED BY {restorer}"));
    place.server.work(hands, database, &statements).await?;
    let mut statements = settings(hands, place, database).await?;
    statements.extend(grants(hands, place, database).await?);
    statements.push(format!("DROP ROLE IF EXISTS {restorer}"));
    place.server.work(hands, place.apart(), &statements).await
}

/// What belongs to others in the live database belongs to them in the restored one.
async fn owners(
    hands: &Hands,
    place: &Place,
    database: &str,
    owner: &str,
) -> Result<Vec<String>, Clean> {
    let all = async |database: &str| -> Result<BTreeMap<String, String>, Clean> {
        let rows: Vec<Owned> = place.server.rows(hands, database, OWNED, WORK_MAX).await?;
        Ok(rows.into_iter().map(|one| (one.what, one.owner)).collect())
    };
    let live = all(&place.database).await?;
    let restored = all(database).await?;
    let others = live
        .iter()
        .filter(|(what, of)| of.as_str() != owner && restored.contains_key(*what));
    Ok(others
        .map(|(what, of)| format!("ALTER {what} OWNER TO {}", quoted(of)))
        .collect())
}

/// `ALTER DATABASE … SET` of the live one. Not what holds writers off: that is a state, not a setting.
async fn settings(hands: &Hands, place: &Place, database: &str) -> Result<Vec<String>, Clean> {
    let question = format!(
        "SELECT to_json(CASE WHEN name IN ({LISTS}) \
           THEN format('SET %I TO %s', name, value) ELSE format('SET %I TO %L', name, value) END) \
         FROM (SELECT split_part(one, '=', 1) AS name, substr(one, strpos(one, '=') + 1) AS value \
           FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, \
           unnest(s.setconfig) AS one WHERE s.setrole = 0 AND d.datname = {}) AS every \
         WHERE name <> 'default_transaction_read_only'",
        literal(&place.database)
    );
    let rows: Vec<String> = place
        .server
        .rows(hands, place.apart(), &question, WORK_MAX)
        .await?;
    let database = quoted(database);
    Ok(rows
        .into_iter()
        .map(|set| format!("ALTER DATABASE {database} {set}"))
        .collect())
}

/// Who may connect to the live one may connect to the restored one.
async fn grants(hands: &Hands, place: &Place, database: &str) -> Result<Vec<String>, Clean> {
    let name = quoted(database);
    let question = format!(
        "SELECT to_json(format('GRANT %s ON DATABASE %s TO %s%s', g.privilege_type, {}::text, \
           CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, \
           CASE WHEN g.is_grantable AND g.grantee <> d.datdba THEN ' WITH GRANT OPTION' ELSE '' END)) \
         FROM pg_catalog.pg_database d, aclexplode(d.datacl) AS g WHERE d.datname = {}",
        literal(&name),
        literal(&place.database)
    );
    let rows: Vec<String> = place
        .server
        .rows(hands, place.apart(), &question, WORK_MAX)
        .await?;
    if rows.is_empty() {
        // Nobody changed the rights of the live one: those of a new database are the same.
        return Ok(rows);
    }
    let mut statements = vec![format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC")];
    statements.extend(rows);
    Ok(statements)
}
