// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// What participants must agree on without trusting a third: newest log heads, listed products, live grants, sealed rounds.
/// No proxy, no upgrade, no token, no price. Identifiers are 32 bytes; nothing here names a person or a value.
/// Every call may be sent again: the same facts change nothing and emit nothing; other facts revert.
contract ExchangeLedger {
    struct Node {
        address key; // signs this node's transactions
        uint48 size; // leaves under the newest anchored head; one slot with `key`: an anchor writes two slots
        uint16 shard; // a log begins anew each year: 0 for its first shard, the year for a later one
        uint32 anchoredBlock;
        bytes32 root;
        bytes32 logKeyHash;
        uint64 keyBlock; // enrolled or rotated here
    }

    struct Product {
        bytes32 node;
        uint64 listedBlock;
        uint64 withdrawnBlock;
    }

    struct Grant {
        bytes32 node;
        bytes32 agreementDigest;
        uint64 expires; // seconds since 1970, exclusive
        uint64 issuedBlock;
        uint64 revokedBlock;
    }

    struct Round {
        bytes32 digest;
        uint64 sealedBlock;
    }

    string public operator; // who runs this chain, in words: "1 operator: demonstration"
    uint64 public deployedBlock;
    mapping(address => bool) public isAdmin;
    mapping(bytes32 => Node) public nodes;
    mapping(address => bytes32) public nodeOf;
    mapping(bytes32 => Product) public products;
    mapping(bytes32 => Grant) public grants;
    mapping(bytes32 => bytes32) public studyNode; // who seals this study's rounds: the first who did
    mapping(bytes32 => mapping(uint64 => Round)) public rounds;

    event AdminChanged(address indexed admin, bool allowed);
    event NodeEnrolled(bytes32 indexed node, address key, bytes32 logKeyHash);
    event NodeKeyRotated(bytes32 indexed node, address key, bytes32 logKeyHash);
    event CheckpointAnchored(
        bytes32 indexed node, uint16 indexed shard, uint48 indexed size, bytes32 root, bytes32 noteHash
    );
    event ProductListed(bytes32 indexed node, bytes32 indexed digest);
    event ProductWithdrawn(bytes32 indexed node, bytes32 indexed digest);
    event GrantIssued(bytes32 indexed node, bytes32 indexed grant, bytes32 agreementDigest, uint64 expires);
    event GrantRevoked(bytes32 indexed node, bytes32 indexed grant);
    event RoundSealed(bytes32 indexed study, uint64 indexed round, bytes32 indexed node, bytes32 digest);

    error NotAdmin();
    error NotTheNodesKey();
    error NotEnrolled();
    error NodeEnrolledOtherwise();
    error KeyTaken();
    error SizeMustGrow();
    error RootDiffers();
    error ProductOfAnother();
    error ProductWithdrawnAlready();
    error ProductUnknown();
    error GrantDiffers();
    error GrantUnknown();
    error StudyOfAnother();
    error RoundDiffers();
    error Empty();

    modifier onlyAdmin() {
        require(isAdmin[msg.sender], NotAdmin());
        _;
    }

    modifier onlyKeyOf(bytes32 node) {
        require(nodes[node].key == msg.sender, NotTheNodesKey());
        _;
    }

    constructor(string memory operator_) {
        operator = operator_;
        deployedBlock = uint64(block.number);
        isAdmin[msg.sender] = true;
        emit AdminChanged(msg.sender, true);
    }

    function setAdmin(address admin, bool allowed) external onlyAdmin {
        require(allowed || admin != msg.sender, NotAdmin()); // one admin always stays
        if (isAdmin[admin] == allowed) return;
        isAdmin[admin] = allowed;
        emit AdminChanged(admin, allowed);
    }

    function enroll(bytes32 node, address key, bytes32 logKeyHash) external onlyAdmin {
        require(node != 0 && key != address(0), Empty());
        Node storage known = nodes[node];
        if (known.key != address(0)) {
            require(known.key == key && known.logKeyHash == logKeyHash, NodeEnrolledOtherwise());
            return;
        }
        setKey(node, key, logKeyHash);
        emit NodeEnrolled(node, key, logKeyHash);
    }

    /// The node itself, or an admin when its key is lost.
    function rotate(bytes32 node, address key, bytes32 logKeyHash) external {
        Node storage known = nodes[node];
        require(known.key != address(0), NotEnrolled());
        require(key != address(0), Empty());
        require(known.key == msg.sender || isAdmin[msg.sender], NotTheNodesKey());
        if (known.key == key && known.logKeyHash == logKeyHash) return;
        delete nodeOf[known.key];
        setKey(node, key, logKeyHash);
        emit NodeKeyRotated(node, key, logKeyHash);
    }

    function setKey(bytes32 node, address key, bytes32 logKeyHash) private {
        require(nodeOf[key] == 0, KeyTaken());
        nodeOf[key] = node;
        nodes[node].key = key;
        nodes[node].logKeyHash = logKeyHash;
        nodes[node].keyBlock = uint64(block.number);
    }

    /// A log only grows: a smaller size, or another root for the same size, is a rewritten or split log. A later shard
    /// begins at any size, because its first entry carries the end of the one before; an earlier one is closed for good.
    function anchor(bytes32 node, uint16 shard, uint48 size, bytes32 root, bytes32 noteHash) external onlyKeyOf(node) {
        Node storage known = nodes[node];
        require(size > 0, Empty());
        if (shard == known.shard && size == known.size) {
            require(root == known.root, RootDiffers());
            return;
        }
        require(shard > known.shard || (shard == known.shard && size > known.size), SizeMustGrow());
        known.size = size;
        known.shard = shard;
        known.anchoredBlock = uint32(block.number);
        known.root = root;
        emit CheckpointAnchored(node, shard, size, root, noteHash);
    }

    function listProduct(bytes32 node, bytes32 digest) external onlyKeyOf(node) {
        Product storage known = products[digest];
        require(digest != 0, Empty());
        require(known.withdrawnBlock == 0, ProductWithdrawnAlready());
        if (known.listedBlock != 0) {
            require(known.node == node, ProductOfAnother());
            return;
        }
        products[digest] = Product(node, uint64(block.number), 0);
        emit ProductListed(node, digest);
    }

    function withdraw(bytes32 digest) external {
        Product storage known = products[digest];
        require(known.listedBlock != 0, ProductUnknown());
        require(nodes[known.node].key == msg.sender, NotTheNodesKey());
        if (known.withdrawnBlock != 0) return;
        known.withdrawnBlock = uint64(block.number);
        emit ProductWithdrawn(known.node, digest);
    }

    /// A revoked grant stays revoked: the same facts again change nothing.
    function issueGrant(bytes32 grant, bytes32 node, bytes32 agreementDigest, uint64 expires) external onlyKeyOf(node) {
        Grant storage known = grants[grant];
        require(grant != 0 && agreementDigest != 0, Empty());
        if (known.issuedBlock != 0) {
            bool same = known.node == node && known.agreementDigest == agreementDigest && known.expires == expires;
            require(same, GrantDiffers());
            return;
        }
        grants[grant] = Grant(node, agreementDigest, expires, uint64(block.number), 0);
        emit GrantIssued(node, grant, agreementDigest, expires);
    }

    function revokeGrant(bytes32 grant) external {
        Grant storage known = grants[grant];
        require(known.issuedBlock != 0, GrantUnknown());
        require(nodes[known.node].key == msg.sender, NotTheNodesKey());
        if (known.revokedBlock != 0) return;
        known.revokedBlock = uint64(block.number);
        emit GrantRevoked(known.node, grant);
    }

    /// Revoked is revoked for every `when`: clocks of nodes and chain differ, a refusal must not depend on them.
    function isGranted(bytes32 grant, uint64 when) external view returns (bool) {
        Grant storage known = grants[grant];
        return known.issuedBlock != 0 && known.revokedBlock == 0 && when < known.expires;
    }

    function sealRound(bytes32 study, uint64 round, bytes32 digest) external {
        bytes32 node = nodeOf[msg.sender];
        require(node != 0, NotEnrolled());
        require(study != 0 && digest != 0, Empty());
        require(studyNode[study] == 0 || studyNode[study] == node, StudyOfAnother());
        Round storage known = rounds[study][round];
        if (known.sealedBlock != 0) {
            require(known.digest == digest, RoundDiffers());
            return;
        }
        studyNode[study] = node;
        rounds[study][round] = Round(digest, uint64(block.number));
        emit RoundSealed(study, round, node, digest);
    }

    /// RFC 9162, section 2.1.3.2, against the newest anchored head of `node`.
    function verifyInclusion(bytes32 node, bytes32 leafHash, uint64 index, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        uint64 size = nodes[node].size;
        if (index >= size) return false;
        uint64 first = index;
        uint64 last = size - 1;
        bytes32 hash = leafHash;
        for (uint256 i = 0; i < proof.length; i++) {
            if (last == 0) return false;
            if (first & 1 == 1 || first == last) {
                hash = sha256(abi.encodePacked(bytes1(0x01), proof[i], hash));
                while (first & 1 == 0 && first != 0) {
                    first >>= 1;
                    last >>= 1;
                }
            } else {
                hash = sha256(abi.encodePacked(bytes1(0x01), hash, proof[i]));
            }
            first >>= 1;
            last >>= 1;
        }
        return last == 0 && hash == nodes[node].root;
    }
}
