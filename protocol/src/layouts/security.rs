//! Layouts of requests about ACLs, delegation tokens, quotas, SCRAM users.
//!
//! A table, one row per field, from the field facts of Kafka's message schemas; exempt from the file size rule.

use kafka_protocol::messages::{
    alter_client_quotas_request, alter_user_scram_credentials_request, create_acls_request,
    create_delegation_token_request, delete_acls_request, describe_client_quotas_request,
    describe_delegation_token_request, describe_user_scram_credentials_request,
};

use crate::layout::Kind::{One, Structs};
use crate::layout::Primitive::{Bool, Bytes, Float64, Int8, Int32, Int64, String};
use crate::layout::{Field, Layout, field};

/// DescribeAcls, key 29, versions 1-3.
pub static DESCRIBE_ACLS: Layout = Layout {
    api_key: 29,
    name: "DescribeAcls",
    versions: (1, 3),
    flexible_from: Some(2),
    fields: &[
        field("ResourceTypeFilter", One(Int8), 1, 3),
        field("ResourceNameFilter", One(String), 1, 3).nullable(1, 3),
        field("PatternTypeFilter", One(Int8), 1, 3),
        field("PrincipalFilter", One(String), 1, 3).nullable(1, 3),
        field("HostFilter", One(String), 1, 3).nullable(1, 3),
        field("Operation", One(Int8), 1, 3),
        field("PermissionType", One(Int8), 1, 3),
    ],
};

const ACL_CREATION: &[Field] = &[
    field("ResourceType", One(Int8), 1, 3),
    field("ResourceName", One(String), 1, 3),
    field("ResourcePatternType", One(Int8), 1, 3),
    field("Principal", One(String), 1, 3),
    field("Host", One(String), 1, 3),
    field("Operation", One(Int8), 1, 3),
    field("PermissionType", One(Int8), 1, 3),
];

/// CreateAcls, key 30, versions 1-3.
pub static CREATE_ACLS: Layout = Layout {
    api_key: 30,
    name: "CreateAcls",
    versions: (1, 3),
    flexible_from: Some(2),
    fields: &[field("Creations", Structs(ACL_CREATION, size_of::<create_acls_request::AclCreation>()), 1, 3)],
};

const DELETE_ACLS_FILTER: &[Field] = &[
    field("ResourceTypeFilter", One(Int8), 1, 3),
    field("ResourceNameFilter", One(String), 1, 3).nullable(1, 3),
    field("PatternTypeFilter", One(Int8), 1, 3),
    field("PrincipalFilter", One(String), 1, 3).nullable(1, 3),
    field("HostFilter", One(String), 1, 3).nullable(1, 3),
    field("Operation", One(Int8), 1, 3),
    field("PermissionType", One(Int8), 1, 3),
];

/// DeleteAcls, key 31, versions 1-3.
pub static DELETE_ACLS: Layout = Layout {
    api_key: 31,
    name: "DeleteAcls",
    versions: (1, 3),
    flexible_from: Some(2),
    fields: &[field(
        "Filters",
        Structs(DELETE_ACLS_FILTER, size_of::<delete_acls_request::DeleteAclsFilter>()),
        1,
        3,
    )],
};

const CREATABLE_RENEWERS: &[Field] =
    &[field("PrincipalType", One(String), 1, 3), field("PrincipalName", One(String), 1, 3)];

/// CreateDelegationToken, key 38, versions 1-3.
pub static CREATE_DELEGATION_TOKEN: Layout = Layout {
    api_key: 38,
    name: "CreateDelegationToken",
    versions: (1, 3),
    flexible_from: Some(2),
    fields: &[
        field("OwnerPrincipalType", One(String), 3, 3).nullable(3, 3),
        field("OwnerPrincipalName", One(String), 3, 3).nullable(3, 3),
        field(
            "Renewers",
            Structs(CREATABLE_RENEWERS, size_of::<create_delegation_token_request::CreatableRenewers>()),
            1,
            3,
        ),
        field("MaxLifetimeMs", One(Int64), 1, 3),
    ],
};

/// RenewDelegationToken, key 39, versions 1-2.
pub static RENEW_DELEGATION_TOKEN: Layout = Layout {
    api_key: 39,
    name: "RenewDelegationToken",
    versions: (1, 2),
    flexible_from: Some(2),
    fields: &[field("Hmac", One(Bytes), 1, 2), field("RenewPeriodMs", One(Int64), 1, 2)],
};

/// ExpireDelegationToken, key 40, versions 1-2.
pub static EXPIRE_DELEGATION_TOKEN: Layout = Layout {
    api_key: 40,
    name: "ExpireDelegationToken",
    versions: (1, 2),
    flexible_from: Some(2),
    fields: &[field("Hmac", One(Bytes), 1, 2), field("ExpiryTimePeriodMs", One(Int64), 1, 2)],
};

const DESCRIBE_DELEGATION_TOKEN_OWNER: &[Field] =
    &[field("PrincipalType", One(String), 1, 3), field("PrincipalName", One(String), 1, 3)];

/// DescribeDelegationToken, key 41, versions 1-3.
pub static DESCRIBE_DELEGATION_TOKEN: Layout = Layout {
    api_key: 41,
    name: "DescribeDelegationToken",
    versions: (1, 3),
    flexible_from: Some(2),
    fields: &[field(
        "Owners",
        Structs(
            DESCRIBE_DELEGATION_TOKEN_OWNER,
            size_of::<describe_delegation_token_request::DescribeDelegationTokenOwner>(),
        ),
        1,
        3,
    )
    .nullable(1, 3)],
};

const COMPONENT_DATA: &[Field] = &[
    field("EntityType", One(String), 0, 1),
    field("MatchType", One(Int8), 0, 1),
    field("Match", One(String), 0, 1).nullable(0, 1),
];

/// DescribeClientQuotas, key 48, versions 0-1.
pub static DESCRIBE_CLIENT_QUOTAS: Layout = Layout {
    api_key: 48,
    name: "DescribeClientQuotas",
    versions: (0, 1),
    flexible_from: Some(1),
    fields: &[
        field(
            "Components",
            Structs(COMPONENT_DATA, size_of::<describe_client_quotas_request::ComponentData>()),
            0,
            1,
        ),
        field("Strict", One(Bool), 0, 1),
    ],
};

const ENTITY_DATA: &[Field] =
    &[field("EntityType", One(String), 0, 1), field("EntityName", One(String), 0, 1).nullable(0, 1)];

const OP_DATA: &[Field] =
    &[field("Key", One(String), 0, 1), field("Value", One(Float64), 0, 1), field("Remove", One(Bool), 0, 1)];

const ENTRY_DATA: &[Field] = &[
    field("Entity", Structs(ENTITY_DATA, size_of::<alter_client_quotas_request::EntityData>()), 0, 1),
    field("Ops", Structs(OP_DATA, size_of::<alter_client_quotas_request::OpData>()), 0, 1),
];

/// AlterClientQuotas, key 49, versions 0-1.
pub static ALTER_CLIENT_QUOTAS: Layout = Layout {
    api_key: 49,
    name: "AlterClientQuotas",
    versions: (0, 1),
    flexible_from: Some(1),
    fields: &[
        field("Entries", Structs(ENTRY_DATA, size_of::<alter_client_quotas_request::EntryData>()), 0, 1),
        field("ValidateOnly", One(Bool), 0, 1),
    ],
};

const USER_NAME: &[Field] = &[field("Name", One(String), 0, 0)];

/// DescribeUserScramCredentials, key 50, versions 0-0.
pub static DESCRIBE_USER_SCRAM_CREDENTIALS: Layout = Layout {
    api_key: 50,
    name: "DescribeUserScramCredentials",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[field(
        "Users",
        Structs(USER_NAME, size_of::<describe_user_scram_credentials_request::UserName>()),
        0,
        0,
    )
    .nullable(0, 0)],
};

const SCRAM_CREDENTIAL_DELETION: &[Field] =
    &[field("Name", One(String), 0, 0), field("Mechanism", One(Int8), 0, 0)];

const SCRAM_CREDENTIAL_UPSERTION: &[Field] = &[
    field("Name", One(String), 0, 0),
    field("Mechanism", One(Int8), 0, 0),
    field("Iterations", One(Int32), 0, 0),
    field("Salt", One(Bytes), 0, 0),
    field("SaltedPassword", One(Bytes), 0, 0),
];

/// AlterUserScramCredentials, key 51, versions 0-0.
pub static ALTER_USER_SCRAM_CREDENTIALS: Layout = Layout {
    api_key: 51,
    name: "AlterUserScramCredentials",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[
        field(
            "Deletions",
            Structs(
                SCRAM_CREDENTIAL_DELETION,
                size_of::<alter_user_scram_credentials_request::ScramCredentialDeletion>(),
            ),
            0,
            0,
        ),
        field(
            "Upsertions",
            Structs(
                SCRAM_CREDENTIAL_UPSERTION,
                size_of::<alter_user_scram_credentials_request::ScramCredentialUpsertion>(),
            ),
            0,
            0,
        ),
    ],
};
